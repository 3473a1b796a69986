// One scenario of kafkajs per run: scenarios.js <bootstrap> <scenario> <name> [option]; exit code 0 if it held.
"use strict";

const assert = require("node:assert/strict");
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require("kafkajs");

const [bootstrap, wanted, topic, option] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 8 } });
const admin = kafka.admin();
const replicationFactor = Number(process.env.REPLICAS || "1");

async function create(numPartitions, settings = {}) {
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor, configEntries }] });
}

async function send(messages, settings = {}, how = {}) {
  const producer = kafka.producer(settings);
  await producer.connect();
  const told = await producer.send({ topic, messages, ...how });
  await producer.disconnect();
  return told;
}

async function until(what, ask) {
  const end = Date.now() + 30000;
  while (!(await ask())) {
    assert(Date.now() < end, `${what}: not within 30 s`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function member(seen, groupId = topic, fromBeginning = true) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 200, rebalanceTimeout: 10000, maxWaitTimeInMs: 200 });
  const state = { consumer, owned: [] };
  consumer.on(consumer.events.GROUP_JOIN, (event) => {
    state.owned = event.payload.memberAssignment[topic] || [];
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning });
  await consumer.run({ eachMessage: async ({ partition, message }) => seen.push({ partition, ...message }) });
  return state;
}

async function read(count) {
  const seen = [];
  const one = await member(seen);
  await until(`${count} records`, () => seen.length >= count);
  await one.consumer.disconnect();
  assert.equal(seen.length, count);
  return seen;
}

const numbers = (count) => [...Array(count).keys()].map((number) => ({ value: String(number) }));

function expectNumbers(seen) {
  seen.forEach((message, number) => {
    assert.equal(message.value.toString(), String(number));
    assert.equal(message.offset, String(number));
  });
}

async function rejects(promise, type) {
  await assert.rejects(promise, (error) => {
    const inner = error.errors ? error.errors[0] : error;
    const type_of = inner.type || (inner.cause && inner.cause.type);
    assert.equal(type_of, type, String(error));
    return true;
  });
}

const scenarios = {
  "produce-consume": async () => {
    await create(1);
    await send(numbers(1000));
    expectNumbers(await read(1000));
  },
  shapes: async () => {
    await create(1);
    await send([
      { key: "k", value: null, headers: { a: ["1", "2"], "☃": "☃" } },
      { key: null, value: "" },
      { key: "", value: "v" },
    ]);
    const [tombstone, empty, last] = await read(3);
    assert.equal(tombstone.key.toString(), "k");
    assert.equal(tombstone.value, null);
    assert.deepEqual(tombstone.headers.a.map(String), ["1", "2"]);
    assert.equal(tombstone.headers["☃"].toString(), "☃");
    assert.equal(empty.key, null);
    assert.equal(empty.value.length, 0);
    assert.equal(last.key.length, 0);
  },
  compression: async () => {
    await create(1);
    await send(numbers(1000), {}, { compression: CompressionTypes.GZIP });
    expectNumbers(await read(1000));
  },
  acks: async () => {
    await create(1);
    for (const acks of [0, 1, -1]) {
      await send([{ value: String(acks) }], {}, { acks });
    }
    assert.deepEqual((await read(3)).map((each) => each.value.toString()), ["0", "1", "-1"]);
  },
  idempotent: async () => {
    await create(1);
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (let start = 0; start < 1000; start += 100) {
      await producer.send({ topic, messages: numbers(1000).slice(start, start + 100) });
    }
    await producer.disconnect();
    expectNumbers(await read(1000));
  },
  "seek-by-time": async () => {
    await create(1);
    const start = Date.now() - 3600000;
    await send([...Array(50).keys()].map((number) => ({ value: String(number), timestamp: String(start + number * 1000) })));
    const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, start + 10_001);
    assert.equal(found.offset, "11");
    const [ends] = await admin.fetchTopicOffsets(topic);
    assert.deepEqual([ends.low, ends.high], ["0", "50"]);
  },
  "join-and-leave": async () => {
    await create(4);
    const first = await member([]);
    await until("one member", () => first.owned.length === 4);
    const second = await member([]);
    await until("two members", () => first.owned.length === 2 && second.owned.length === 2);
    await second.consumer.disconnect();
    await until("one again", () => first.owned.length === 4);
    await first.consumer.disconnect();
  },
  committed: async () => {
    await create(1);
    await send(numbers(20));
    await admin.setOffsets({ groupId: topic, topic, partitions: [{ partition: 0, offset: "13" }] });
    const [kept] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
    assert.equal(kept.partitions[0].offset, "13");
    const seen = [];
    const one = await member(seen);
    await until("a record", () => seen.length > 0);
    assert.equal(seen[0].offset, "13");
    await one.consumer.disconnect();
  },
  "admin-topics": async () => {
    await create(2, { "retention.ms": "60000" });
    assert((await admin.listTopics()).includes(topic));
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
    await until("five partitions", async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 5);
    await admin.deleteTopics({ topics: [topic] });
    await until("its end", async () => !(await admin.listTopics()).includes(topic));
  },
  "admin-configs": async () => {
    await create(1);
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
    const value = async () => {
      const told = await admin.describeConfigs({ resources: [{ ...resource, configNames: ["retention.ms"] }] });
      return told.resources[0].configEntries[0].configValue;
    };
    assert.equal(await value(), "604800000");
    await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: "retention.ms", value: "60000" }] }] });
    await until("the new value", async () => (await value()) === "60000");
  },
  "admin-records": async () => {
    await create(1);
    await send(numbers(10));
    // kafkajs finds the leader only among brokers its admin client already talks to.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "4" }] });
    const [ends] = await admin.fetchTopicOffsets(topic);
    assert.deepEqual([ends.low, ends.high], ["4", "10"]);
  },
  "admin-groups": async () => {
    await create(1);
    const one = await member([]);
    await until("its partition", () => one.owned.length === 1);
    assert((await admin.listGroups()).groups.some((each) => each.groupId === topic));
    const [described] = (await admin.describeGroups([topic])).groups;
    assert.deepEqual([described.state, described.members.length], ["Stable", 1]);
    await assert.rejects(admin.deleteGroups([topic]));
    await one.consumer.disconnect();
    await until("an empty group", async () => (await admin.describeGroups([topic])).groups[0].state === "Empty");
    await admin.deleteGroups([topic]);
    assert(!(await admin.listGroups()).groups.some((each) => each.groupId === topic));
  },
  "admin-cluster": async () => {
    const cluster = await admin.describeCluster();
    assert.equal(cluster.brokers.length, 1);
    assert.equal(cluster.controller, cluster.brokers[0].nodeId);
    assert(cluster.clusterId);
  },
  errors: async () => {
    await create(1, { "max.message.bytes": "1000" });
    const few = { retry: { retries: 0 } };
    await rejects(send([{ value: "x".repeat(5000) }], few), "MESSAGE_TOO_LARGE");
    const make = (name, entry = {}) =>
      admin.createTopics({ topics: [{ topic: name, numPartitions: 1, replicationFactor: 1, ...entry }] });
    assert.equal(await make(topic), false, "a topic that exists is not created again");
    await rejects(make(`${topic}-b`, { replicationFactor: 3 }), "INVALID_REPLICATION_FACTOR");
    await rejects(make(`${topic}-c`, { configEntries: [{ name: "retention.ms", value: "soon" }] }), "INVALID_CONFIG");
    await rejects(make("not a name"), "INVALID_TOPIC_EXCEPTION");
  },
};

(async () => {
  await admin.connect();
  await scenarios[wanted]();
  await admin.disconnect();
  console.log("held");
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
