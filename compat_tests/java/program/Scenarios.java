// One scenario of the Java client per run: Scenarios <bootstrap> <scenario> <name> [settings...]; exit code 0 if it held.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

public final class Scenarios {
    // An hour ago: no retention finds it old while a scenario runs.
    private static final long LATELY = System.currentTimeMillis() - 3_600_000;
    private static final short REPLICAS = Short.parseShort(System.getenv().getOrDefault("REPLICAS", "1"));
    private static String bootstrap;
    private static String topic;

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        topic = arguments[2];
        String option = arguments.length > 3 ? arguments[3] : "";
        switch (arguments[1]) {
            case "produce-consume" -> produceConsume();
            case "shapes" -> shapes();
            case "compression" -> compression(option);
            case "large" -> large();
            case "many-batches" -> manyBatches();
            case "many-partitions" -> manyPartitions();
            case "timestamps" -> timestamps();
            case "seek-by-time" -> seekByTime();
            case "join-and-leave" -> joinAndLeave(option);
            case "static-membership" -> staticMembership();
            case "committed" -> committed();
            case "admin-topics" -> adminTopics();
            case "admin-configs" -> adminConfigs();
            case "admin-records" -> adminRecords();
            case "admin-groups" -> adminGroups();
            case "admin-cluster" -> adminCluster();
            case "errors" -> errors();
            default -> throw new IllegalArgumentException(arguments[1]);
        }
        System.out.println("held");
    }

    // --- writing and reading ---

    static void produceConsume() throws Exception {
        create(1, Map.of());
        try (var producer = producer(Map.of())) {
            for (int number = 0; number < 1000; number++) {
                producer.send(new ProducerRecord<>(topic, bytes("value-" + number)));
            }
            producer.flush();
        }
        var records = readAll(0, 1000);
        for (int number = 0; number < 1000; number++) {
            equal(records.get(number).offset(), (long) number);
            equal(text(records.get(number).value()), "value-" + number);
        }
    }

    static void shapes() throws Exception {
        create(1, Map.of());
        try (var producer = producer(Map.of())) {
            var record = new ProducerRecord<byte[], byte[]>(topic, bytes("k"), null);
            record.headers().add(new RecordHeader("a", bytes("1"))).add(new RecordHeader("a", bytes("2")));
            record.headers().add(new RecordHeader("null", (byte[]) null)).add(new RecordHeader("☃", bytes("☃")));
            producer.send(record).get();
            producer.send(new ProducerRecord<>(topic, null, new byte[0])).get();
            producer.send(new ProducerRecord<>(topic, new byte[0], bytes("v"))).get();
        }
        var records = readAll(0, 3);
        equal(text(records.get(0).key()), "k");
        check(records.get(0).value() == null, "a tombstone has no value");
        var headers = records.get(0).headers().toArray();
        equal(headers.length, 4);
        equal(text(headers[0].value()) + text(headers[1].value()), "12");
        check(headers[2].value() == null, "a null header stays null");
        equal(headers[3].key(), "☃");
        check(records.get(1).key() == null && records.get(1).value().length == 0, "null key, empty value");
        check(records.get(2).key().length == 0, "empty key");
    }

    static void compression(String codec) throws Exception {
        create(1, Map.of());
        try (var producer = producer(Map.of("compression.type", codec, "linger.ms", "50"))) {
            for (int number = 0; number < 500; number++) {
                producer.send(new ProducerRecord<>(topic, bytes("abc".repeat(100) + number)));
            }
        }
        var records = readAll(0, 500);
        for (int number = 0; number < 500; number++) {
            equal(text(records.get(number).value()), "abc".repeat(100) + number);
        }
    }

    static void large() throws Exception {
        create(1, Map.of("max.message.bytes", String.valueOf(12 << 20)));
        byte[] value = new byte[10 << 20];
        new Random(1).nextBytes(value);
        try (var producer = producer(Map.of("max.request.size", String.valueOf(16 << 20)))) {
            producer.send(new ProducerRecord<>(topic, value)).get();
        }
        check(Arrays.equals(readAll(0, 1).get(0).value(), value), "the same ten MiB");
    }

    static void manyBatches() throws Exception {
        create(3, Map.of());
        try (var producer = producer(Map.of("batch.size", "300", "enable.idempotence", "true", "acks", "all"))) {
            for (int number = 0; number < 3000; number++) {
                producer.send(new ProducerRecord<>(topic, number % 3, null, bytes("" + number)));
            }
        }
        for (int partition = 0; partition < 3; partition++) {
            var records = readAll(partition, 1000);
            for (int number = 0; number < 1000; number++) {
                equal(text(records.get(number).value()), "" + (number * 3 + partition));
            }
        }
    }

    static void manyPartitions() throws Exception {
        create(100, Map.of());
        try (var producer = producer(Map.of()); var consumer = consumer(Map.of())) {
            equal(producer.partitionsFor(topic).size(), 100);
            for (int partition = 0; partition < 100; partition++) {
                producer.send(new ProducerRecord<>(topic, partition, null, bytes("" + partition)));
            }
            producer.flush();
            consumer.assign(producer.partitionsFor(topic).stream().map(each -> new TopicPartition(topic, each.partition())).toList());
            var seen = new TreeSet<Integer>();
            until("all partitions", () -> {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    equal(text(record.value()), "" + record.partition());
                    seen.add(record.partition());
                }
                return seen.size() == 100;
            });
        }
    }

    static void timestamps() throws Exception {
        create(1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        long told;
        try (var producer = producer(Map.of("compression.type", "lz4"))) {
            told = producer.send(new ProducerRecord<>(topic, 0, LATELY, null, bytes("v"))).get().timestamp();
        }
        var record = readAll(0, 1).get(0);
        equal(record.timestampType().toString(), "LogAppendTime");
        equal(record.timestamp(), told);
        check(Math.abs(told - before) < 60_000, "the broker's time");
    }

    static void seekByTime() throws Exception {
        create(1, Map.of());
        long start = LATELY;
        try (var producer = producer(Map.of()); var consumer = consumer(Map.of())) {
            for (int number = 0; number < 50; number++) {
                producer.send(new ProducerRecord<>(topic, 0, start + number * 1000L, null, bytes("" + number)));
            }
            producer.flush();
            var where = new TopicPartition(topic, 0);
            consumer.assign(List.of(where));
            equal(consumer.offsetsForTimes(Map.of(where, start + 10_001)).get(where).offset(), 11L);
            check(consumer.offsetsForTimes(Map.of(where, start + 49_001)).get(where) == null, "nothing so late");
            consumer.seek(where, 11);
            var found = new ArrayList<ConsumerRecord<byte[], byte[]>>();
            until("a record", () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(found::add);
                return !found.isEmpty();
            });
            equal(found.get(0).offset(), 11L);
            equal(consumer.endOffsets(List.of(where)).get(where), 50L);
        }
    }

    // --- groups ---

    static void joinAndLeave(String assignor) throws Exception {
        create(4, Map.of());
        var settings = Map.of("group.id", topic, "heartbeat.interval.ms", "200", "partition.assignment.strategy", assignor);
        try (var first = consumer(settings)) {
            first.subscribe(List.of(topic));
            settle(List.of(first), 4);
            var second = consumer(settings);
            second.subscribe(List.of(topic));
            settle(List.of(first, second), 4);
            second.close();
            settle(List.of(first), 4);
        }
    }

    static void staticMembership() throws Exception {
        create(4, Map.of());
        Map<String, String> settings = new HashMap<>(Map.of("group.id", topic, "heartbeat.interval.ms", "200", "session.timeout.ms", "30000"));
        settings.put("group.instance.id", "one");
        try (var one = consumer(settings)) {
            one.subscribe(List.of(topic));
            settings.put("group.instance.id", "two");
            var two = consumer(settings);
            two.subscribe(List.of(topic));
            settle(List.of(one, two), 4);
            var before = Set.copyOf(two.assignment());
            int generation = one.groupMetadata().generationId();
            two.close();
            try (var back = consumer(settings)) {
                back.subscribe(List.of(topic));
                settle(List.of(one, back), 4);
                equal(back.assignment(), before);
                equal(one.groupMetadata().generationId(), generation);
            }
        }
    }

    static void committed() throws Exception {
        create(1, Map.of());
        var where = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of())) {
            for (int number = 0; number < 20; number++) {
                producer.send(new ProducerRecord<>(topic, bytes("" + number)));
            }
        }
        try (var consumer = consumer(Map.of("group.id", topic))) {
            consumer.subscribe(List.of(topic));
            settle(List.of(consumer), 1);
            consumer.commitSync(Map.of(where, new OffsetAndMetadata(13, "halfway")));
        }
        try (var consumer = consumer(Map.of("group.id", topic))) {
            consumer.subscribe(List.of(topic));
            var first = new ArrayList<ConsumerRecord<byte[], byte[]>>();
            until("the first records", () -> {
                consumer.poll(Duration.ofMillis(50)).forEach(first::add);
                return !first.isEmpty();
            });
            equal(first.get(0).offset(), 13L);
            equal(consumer.committed(Set.of(where)).get(where).metadata(), "halfway");
        }
    }

    static void settle(List<KafkaConsumer<byte[], byte[]>> members, int partitions) throws Exception {
        until(members.size() + " members sharing " + partitions, () -> {
            int sum = 0;
            int least = Integer.MAX_VALUE;
            for (var member : members) {
                member.poll(Duration.ofMillis(50));
            }
            for (var member : members) {
                sum += member.assignment().size();
                least = Math.min(least, member.assignment().size());
            }
            return sum == partitions && least == partitions / members.size();
        });
    }

    // --- admin ---

    static void adminTopics() throws Exception {
        create(2, Map.of("retention.ms", "60000"));
        try (var admin = admin()) {
            check(admin.listTopics().names().get().contains(topic), "listed");
            var described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            equal(described.partitions().size(), 2);
            var byId = admin.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).allTopicIds().get();
            equal(byId.get(described.topicId()).name(), topic);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            until("five partitions", () ->
                admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 5);
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).all().get();
            until("its end", () -> !admin.listTopics().names().get().contains(topic));
        }
    }

    static void adminConfigs() throws Exception {
        create(1, Map.of("retention.ms", "60000"));
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (var admin = admin()) {
            var before = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            equal(before.get("retention.ms").value(), "60000");
            equal(before.get("retention.ms").source().toString(), "DYNAMIC_TOPIC_CONFIG");
            check(before.get("cleanup.policy").isDefault(), "the rest are defaults");
            var set = new AlterConfigOp(new ConfigEntry("segment.bytes", "2000000"), AlterConfigOp.OpType.SET);
            var delete = new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set, delete))).all().get();
            until("the new values", () -> {
                var after = admin.describeConfigs(List.of(resource)).all().get().get(resource);
                return after.get("segment.bytes").value().equals("2000000") && after.get("retention.ms").isDefault();
            });
        }
    }

    static void adminRecords() throws Exception {
        create(1, Map.of());
        var where = new TopicPartition(topic, 0);
        try (var admin = admin(); var producer = producer(Map.of())) {
            for (long moment : new long[] {1000, 5000, 3000}) {
                producer.send(new ProducerRecord<>(topic, 0, LATELY + moment, null, bytes("v"))).get();
            }
            equal(offset(admin, where, OffsetSpec.earliest()), 0L);
            equal(offset(admin, where, OffsetSpec.latest()), 3L);
            equal(offset(admin, where, OffsetSpec.maxTimestamp()), 1L);
            equal(offset(admin, where, OffsetSpec.forTimestamp(LATELY + 4000)), 1L);
            equal(admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(2))).lowWatermarks().get(where).get().lowWatermark(), 2L);
            equal(offset(admin, where, OffsetSpec.earliest()), 2L);
        }
    }

    static long offset(Admin admin, TopicPartition where, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(where, spec)).partitionResult(where).get().offset();
    }

    static void adminGroups() throws Exception {
        create(1, Map.of());
        var where = new TopicPartition(topic, 0);
        try (var admin = admin()) {
            try (var consumer = consumer(Map.of("group.id", topic, "client.id", "the-one"))) {
                consumer.subscribe(List.of(topic));
                settle(List.of(consumer), 1);
                check(admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals(topic)), "listed");
                var described = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
                equal(described.groupState().toString(), "Stable");
                equal(described.members().iterator().next().clientId(), "the-one");
                fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(topic)).all().get());
            }
            admin.alterConsumerGroupOffsets(topic, Map.of(where, new OffsetAndMetadata(0))).all().get();
            equal(admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(where).offset(), 0L);
            admin.deleteConsumerGroupOffsets(topic, Set.of(where)).all().get();
            admin.alterConsumerGroupOffsets(topic, Map.of(where, new OffsetAndMetadata(0))).all().get();
            admin.deleteConsumerGroups(List.of(topic)).all().get();
            fails(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(topic)).all().get());
        }
    }

    static void adminCluster() throws Exception {
        create(1, Map.of());
        try (var admin = admin(); var producer = producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, bytes("v"))).get();
            var cluster = admin.describeCluster();
            equal(cluster.nodes().get().size(), 1);
            int node = cluster.controller().get().id();
            check(cluster.clusterId().get() != null, "a cluster id");
            var directories = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values();
            var infos = directories.iterator().next().replicaInfos();
            check(infos.get(new TopicPartition(topic, 0)).size() > 0, "a size");
            check(admin.describeFeatures().featureMetadata().get() != null, "features");
            var broker = new ConfigResource(ConfigResource.Type.BROKER, "" + node);
            equal(admin.describeConfigs(List.of(broker)).all().get().get(broker).get("auto.create.topics.enable").value(), "false");
        }
    }

    static void errors() throws Exception {
        create(1, Map.of("max.message.bytes", "1000"));
        var where = new TopicPartition(topic, 0);
        try (var admin = admin(); var producer = producer(Map.of("max.block.ms", "2000"))) {
            fails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(topic, new byte[5000])).get());
            fails(org.apache.kafka.common.errors.TimeoutException.class, () -> producer.send(new ProducerRecord<>("no-such-topic", bytes("v"))).get());
            fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get());
            fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("not a name", 1, (short) 1))).all().get());
            fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-b", 1, (short) 3))).all().get());
            fails(InvalidConfigurationException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-c", 1, (short) 1).configs(Map.of("retention.ms", "soon")))).all().get());
            fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(1))).all().get());
            fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of("no-such-topic")).all().get());
            fails(UnknownTopicIdException.class, () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).all().get());
            fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(99))).all().get());
        }
        try (var consumer = consumer(Map.of("auto.offset.reset", "none"))) {
            consumer.assign(List.of(where));
            consumer.seek(where, 99);
            fails(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> {
                for (int turn = 0; turn < 100; turn++) {
                    consumer.poll(Duration.ofMillis(100));
                }
                return null;
            });
        }
    }

    // --- what the scenarios are made of ---

    interface Ask<T> {
        T now() throws Exception;
    }

    static void until(String what, Ask<Boolean> ask) throws Exception {
        long end = System.nanoTime() + 30_000_000_000L;
        while (!ask.now()) {
            check(System.nanoTime() < end, what + ": not within 30 s");
            Thread.sleep(10);
        }
    }

    static void fails(Class<? extends Exception> expected, Ask<?> ask) throws Exception {
        Throwable got;
        try {
            got = new AssertionError("it answered " + ask.now());
        } catch (ExecutionException error) {
            got = error.getCause();
        } catch (Exception error) {
            got = error;
        }
        check(expected.isInstance(got), "expected " + expected.getSimpleName() + ", got " + got);
    }

    static void check(boolean held, String what) {
        if (!held) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object got, Object expected) {
        check(Objects.equals(got, expected), "expected " + expected + ", got " + got);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    static void create(int partitions, Map<String, String> settings) throws Exception {
        try (var admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, REPLICAS).configs(settings))).all().get();
        }
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, String> settings) {
        Map<String, Object> wanted = new HashMap<>(settings);
        wanted.put("bootstrap.servers", bootstrap);
        return new KafkaProducer<>(wanted, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Map<String, String> settings) {
        Map<String, Object> wanted = new HashMap<>(Map.of("auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        wanted.putAll(settings);
        wanted.put("bootstrap.servers", bootstrap);
        return new KafkaConsumer<>(wanted, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(int partition, int count) throws Exception {
        var records = new ArrayList<ConsumerRecord<byte[], byte[]>>();
        try (var consumer = consumer(Map.of())) {
            consumer.assign(List.of(new TopicPartition(topic, partition)));
            until(count + " records", () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                return records.size() >= count;
            });
        }
        equal(records.size(), count);
        return records;
    }
}
