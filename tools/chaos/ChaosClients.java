// The Java clients of a run: what librdkafka.py is for librdkafka. Arguments: bootstrap, topic, partitions, directory,
// rate, padding, the first number of its writers. "halt" on standard input: write no more, but read on; then its end.

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

public final class ChaosClients {
    private static final long SPACE = 1_000_000_000L;
    private static final int OUTSTANDING = 60;
    private static final AtomicBoolean halt = new AtomicBoolean();
    private static final AtomicBoolean end = new AtomicBoolean();
    private static final Map<String, AtomicLong> tally = new java.util.concurrent.ConcurrentSkipListMap<>();
    private static String bootstrap;
    private static String topic;
    private static int partitions;
    private static Path directory;
    private static double rate;
    private static String padding;

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        topic = arguments[1];
        partitions = Integer.parseInt(arguments[2]);
        directory = Path.of(arguments[3]);
        rate = Double.parseDouble(arguments[4]);
        padding = " ".repeat(Integer.parseInt(arguments[5]));
        int first = Integer.parseInt(arguments[6]);
        var writers = List.of(
            start("idempotent", () -> write(first, true)), start("plain", () -> write(first + 1, false)));
        var members = List.of(start("member-1", () -> read(1)), start("member-2", () -> read(2)));
        var listener = new Thread(ChaosClients::listen);
        listener.setDaemon(true);
        listener.start();
        while (!end.get()) {
            Thread.sleep(1000);
            say(writers.size());
        }
        for (var each : writers) each.join(30_000);
        for (var each : members) each.join(30_000);
        say(writers.size());
        Runtime.getRuntime().halt(0);
    }

    private interface Work {
        void run() throws Exception;
    }

    private static Thread start(String name, Work work) {
        var thread = new Thread(() -> {
            try {
                work.run();
            } catch (Throwable problem) {
                problem.printStackTrace();
                Runtime.getRuntime().halt(70);
            }
        }, name);
        thread.start();
        return thread;
    }

    private static void listen() {
        try (var input = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line; (line = input.readLine()) != null; ) {
                if (line.strip().equals("halt")) halt.set(true);
            }
        } catch (IOException gone) {
            // as its end
        }
        halt.set(true);
        end.set(true);
    }

    private static void add(String what, long number) {
        tally.computeIfAbsent(what, ignored -> new AtomicLong()).addAndGet(number);
    }

    private static void say(int writers) {
        var words = new StringJoiner(",", "{", "}");
        tally.forEach((what, number) -> words.add("\"" + what + "\":" + number));
        words.add("\"writers\":" + writers);
        System.out.println(words);
        System.out.flush();
    }

    // --- the journal ---

    private static final class Journal implements Closeable {
        private final Writer file;

        Journal(String name, String about) throws IOException {
            file = Files.newBufferedWriter(directory.resolve(name + ".jsonl"));
            file.write("[\"client\",\"" + name + "\"," + about + "]\n");
        }

        synchronized void note(String kind, String what) {
            try {
                file.write(String.format(Locale.ROOT, "[\"%s\",%.6f,%s]\n", kind, System.nanoTime() / 1e9, what));
            } catch (IOException problem) {
                throw new UncheckedIOException(problem);
            }
        }

        @Override
        public synchronized void close() throws IOException {
            file.close();
        }
    }

    private static String quoted(Object text) {
        return "\"" + String.valueOf(text).replace("\\", "/").replace("\"", "'").replaceAll("\\p{Cntrl}", " ") + "\"";
    }

    // --- writing ---

    private static void write(int number, boolean idempotent) throws Exception {
        String kind = idempotent ? "idempotent" : "plain";
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap, "acks", "all", "enable.idempotence", idempotent, "linger.ms", 5,
            "delivery.timeout.ms", idempotent ? 120_000 : 15_000, "request.timeout.ms", 8_000,
            "max.block.ms", 5_000, "metadata.max.age.ms", 10_000, "reconnect.backoff.max.ms", 1_000));
        settings.put("socket.connection.setup.timeout.ms", 5_000);
        var journal = new Journal("java-" + kind + "-" + number, "{\"kind\":\"" + kind + " producer\"}");
        var waiting = new AtomicIntegerArray(partitions);
        var fatal = new AtomicReference<Exception>();
        Producer<byte[], byte[]> producer = make(settings);
        long value = number * SPACE;
        long pause = (long) (1e9 / rate);
        long due = System.nanoTime();
        for (int turn = 0; !halt.get(); turn++) {
            due = Math.max(due + pause, System.nanoTime() - 1_000_000_000L);
            long wait = due - System.nanoTime();
            if (wait > 0) Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
            if (fatal.get() != null) {
                journal.note("fatal", quoted(fatal.getAndSet(null)));
                add("fatal", 1);
                producer.close(Duration.ofSeconds(1));
                producer = make(settings);
            }
            if (waiting.get(turn % partitions) >= OUTSTANDING) continue;
            send(producer, turn % partitions, value++, journal, waiting, fatal);
        }
        producer.close(Duration.ofSeconds(130));
        journal.close();
        add("halted", 1);
    }

    private static Producer<byte[], byte[]> make(Map<String, Object> settings) {
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static void send(Producer<byte[], byte[]> producer, int partition, long value, Journal journal,
                             AtomicIntegerArray waiting, AtomicReference<Exception> fatal) {
        String record = partition + "," + value;
        journal.note("send", record);
        add("sent", 1);
        waiting.incrementAndGet(partition);
        var answered = new AtomicBoolean();
        Callback done = (metadata, problem) -> {
            if (!answered.compareAndSet(false, true)) return;
            waiting.decrementAndGet(partition);
            if (problem == null) {
                journal.note("ack", record + "," + metadata.offset());
                add("acked", 1);
                return;
            }
            journal.note("unknown", record + "," + quoted(problem));
            add("unknown", 1);
            if (problem instanceof OutOfOrderSequenceException || problem instanceof ProducerFencedException
                    || problem instanceof InvalidProducerEpochException || problem instanceof UnknownProducerIdException) {
                fatal.set(problem);
            }
        };
        byte[] bytes = (value + padding).getBytes(StandardCharsets.UTF_8);
        try {
            producer.send(new ProducerRecord<>(topic, partition, null, bytes), done);
        } catch (KafkaException problem) {
            done.onCompletion(null, problem);
            fatal.compareAndSet(null, problem);
        }
    }

    // --- reading ---

    private static void read(int number) throws Exception {
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap, "group.id", "java-group", "session.timeout.ms", 10_000,
            "auto.offset.reset", "earliest", "enable.auto.commit", false, "fetch.max.wait.ms", 200,
            "request.timeout.ms", 8_000, "default.api.timeout.ms", 10_000, "metadata.max.age.ms", 10_000));
        settings.put("heartbeat.interval.ms", 1_000);
        settings.put("reconnect.backoff.max.ms", 1_000);
        settings.put("socket.connection.setup.timeout.ms", 5_000);
        String about = "{\"kind\":\"group consumer\",\"group\":\"java-group\"}";
        var journal = new Journal("java-member-" + number, about);
        Map<TopicPartition, OffsetAndMetadata> unsaved = new HashMap<>();
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> given) {
                    journal.note("assign", numbers(given));
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> taken) {
                    commit(consumer, unsaved, journal);
                    journal.note("revoke", numbers(taken) + ",false");
                    unsaved.keySet().removeAll(taken);
                }

                @Override
                public void onPartitionsLost(Collection<TopicPartition> taken) {
                    journal.note("revoke", numbers(taken) + ",true");
                    unsaved.keySet().removeAll(taken);
                }
            });
            long committed = System.nanoTime();
            while (!end.get()) {
                try {
                    var records = consumer.poll(Duration.ofMillis(200));
                    if (!records.isEmpty()) note(records, journal, unsaved);
                } catch (RetriableException again) {
                    add("poll errors", 1);
                }
                if (System.nanoTime() - committed > 1_000_000_000L) {
                    committed = System.nanoTime();
                    commit(consumer, unsaved, journal);
                }
            }
            consumer.close(CloseOptions.timeout(Duration.ofSeconds(10)));
        } finally {
            journal.close();
        }
    }

    private static void note(ConsumerRecords<byte[], byte[]> records, Journal journal,
                             Map<TopicPartition, OffsetAndMetadata> unsaved) {
        var words = new StringJoiner(",", "[", "]");
        for (var record : records) {
            words.add("[" + record.partition() + "," + record.offset() + "," + valueOf(record.value()) + "]");
            var place = new TopicPartition(topic, record.partition());
            unsaved.put(place, new OffsetAndMetadata(record.offset() + 1));
        }
        journal.note("poll", words.toString());
        add("polled", records.count());
    }

    private static void commit(KafkaConsumer<byte[], byte[]> consumer,
                               Map<TopicPartition, OffsetAndMetadata> unsaved, Journal journal) {
        if (unsaved.isEmpty()) return;
        try {
            consumer.commitSync(unsaved);
        } catch (RetriableException | CommitFailedException problem) {
            add("commit errors", 1);
            return;
        }
        var words = new StringJoiner(",", "[", "]");
        unsaved.forEach((place, offset) -> words.add("[" + place.partition() + "," + offset.offset() + "]"));
        journal.note("commit", words.toString());
        unsaved.clear();
    }

    private static long valueOf(byte[] bytes) {
        try {
            return Long.parseLong(new String(bytes, StandardCharsets.UTF_8).strip());
        } catch (RuntimeException strange) {
            return -1;
        }
    }

    private static String numbers(Collection<TopicPartition> places) {
        var words = new StringJoiner(",", "[", "]");
        places.stream().map(TopicPartition::partition).sorted().forEach(each -> words.add(String.valueOf(each)));
        return words.toString();
    }
}
