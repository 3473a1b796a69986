// One scenario of franz-go per run: franz <bootstrap> <scenario> <name> [option]; exit code 0 if it held.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var bootstrap, topic, option string

func main() {
	bootstrap, topic = os.Args[1], os.Args[3]
	if len(os.Args) > 4 {
		option = os.Args[4]
	}
	scenarios := map[string]func(context.Context){
		"produce-consume": produceConsume, "shapes": shapes, "compression": compression, "large": large,
		"many-batches": manyBatches, "timestamps": timestamps, "seek-by-time": seekByTime,
		"join-and-leave": joinAndLeave, "static-membership": staticMembership, "committed": committed,
		"admin-topics": adminTopics, "admin-configs": adminConfigs, "admin-records": adminRecords,
		"admin-groups": adminGroups, "admin-cluster": adminCluster, "errors": failures,
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	scenarios[os.Args[2]](ctx)
	fmt.Println("held")
}

func must[T any](value T, err error) T {
	check(err == nil, "%v", err)
	return value
}

func check(held bool, format string, about ...any) {
	if !held {
		fmt.Fprintf(os.Stderr, format+"\n", about...)
		os.Exit(1)
	}
}

func client(options ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)...))
}

func reader(options ...kgo.Opt) *kgo.Client {
	start := kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())
	return client(append([]kgo.Opt{kgo.ConsumeTopics(topic), start}, options...)...)
}

func admin() *kadm.Client { return kadm.NewClient(client()) }

func create(ctx context.Context, partitions int32, settings map[string]*string) {
	a := admin()
	defer a.Close()
	must(a.CreateTopic(ctx, partitions, replicas(), settings, topic))
}

// replicas is how many a topic gets: REPLICAS, or 1.
func replicas() int16 {
	count, err := strconv.ParseInt(os.Getenv("REPLICAS"), 10, 16)
	if err != nil {
		return 1
	}
	return int16(count)
}

func text(value string) *string { return &value }

func read(ctx context.Context, count int, options ...kgo.Opt) []*kgo.Record {
	c := reader(options...)
	defer c.Close()
	var records []*kgo.Record
	for len(records) < count {
		fetches := c.PollFetches(ctx)
		check(fetches.Err0() == nil && len(fetches.Errors()) == 0, "%v", fetches.Errors())
		records = append(records, fetches.Records()...)
	}
	check(len(records) == count, "%d records instead of %d", len(records), count)
	return records
}

func until(what string, ask func() bool) {
	end := time.Now().Add(30 * time.Second)
	for !ask() {
		check(time.Now().Before(end), "%s: not within 30 s", what)
		time.Sleep(10 * time.Millisecond)
	}
}

func numbers(ctx context.Context, c *kgo.Client, count int) {
	for number := 0; number < count; number++ {
		c.Produce(ctx, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", number)}, func(_ *kgo.Record, err error) {
			check(err == nil, "%v", err)
		})
	}
	check(c.Flush(ctx) == nil, "flush")
}

func expectNumbers(records []*kgo.Record) {
	for number, record := range records {
		check(string(record.Value) == fmt.Sprint(number) && record.Offset == int64(number),
			"%q at offset %d instead of %d", record.Value, record.Offset, number)
	}
}

func produceConsume(ctx context.Context) {
	create(ctx, 1, nil)
	c := client()
	defer c.Close()
	numbers(ctx, c, 2000)
	expectNumbers(read(ctx, 2000))
}

func shapes(ctx context.Context) {
	create(ctx, 1, nil)
	c := client()
	defer c.Close()
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "null"}, {Key: "☃", Value: []byte("☃")}}
	sent := []*kgo.Record{
		{Topic: topic, Key: []byte("k"), Value: nil, Headers: headers},
		{Topic: topic, Key: nil, Value: []byte{}},
		{Topic: topic, Key: []byte{}, Value: []byte("v")},
	}
	check(c.ProduceSync(ctx, sent...).FirstErr() == nil, "produce")
	got := read(ctx, 3)
	check(string(got[0].Key) == "k" && got[0].Value == nil, "a tombstone has no value")
	check(len(got[0].Headers) == 4 && string(got[0].Headers[1].Value) == "2" && got[0].Headers[2].Value == nil, "%v", got[0].Headers)
	check(got[0].Headers[3].Key == "☃", "%v", got[0].Headers)
	check(got[1].Key == nil && got[1].Value != nil && len(got[1].Value) == 0, "null key, empty value")
	check(got[2].Key != nil && len(got[2].Key) == 0, "empty key")
}

func compression(ctx context.Context) {
	create(ctx, 1, nil)
	codec := map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[option]
	c := client(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(50*time.Millisecond))
	defer c.Close()
	numbers(ctx, c, 1000)
	expectNumbers(read(ctx, 1000))
}

func large(ctx context.Context) {
	create(ctx, 1, map[string]*string{"max.message.bytes": text(fmt.Sprint(12 << 20))})
	c := client(kgo.ProducerBatchMaxBytes(12<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer c.Close()
	value := make([]byte, 10<<20)
	rand.New(rand.NewSource(1)).Read(value)
	check(c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: value}).FirstErr() == nil, "produce")
	check(bytes.Equal(read(ctx, 1)[0].Value, value), "the same ten MiB")
}

func manyBatches(ctx context.Context) {
	create(ctx, 3, nil)
	c := client(kgo.MaxBufferedRecords(20000), kgo.ProducerBatchMaxBytes(2000), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	defer c.Close()
	numbers(ctx, c, 6000)
	last := map[int32]int{0: -1, 1: -1, 2: -1}
	for _, record := range read(ctx, 6000) {
		var number int
		fmt.Sscan(string(record.Value), &number)
		check(number > last[record.Partition], "partition %d: %d after %d", record.Partition, number, last[record.Partition])
		last[record.Partition] = number
	}
}

func timestamps(ctx context.Context) {
	create(ctx, 1, map[string]*string{"message.timestamp.type": text("LogAppendTime")})
	c := client()
	defer c.Close()
	old := time.Now().Add(-time.Hour)
	check(c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v"), Timestamp: old}).FirstErr() == nil, "produce")
	record := read(ctx, 1)[0]
	check(record.Attrs.TimestampType() == 1, "LogAppendTime")
	check(time.Since(record.Timestamp).Abs() < time.Minute, "%v", record.Timestamp)
}

func seekByTime(ctx context.Context) {
	create(ctx, 1, nil)
	c, a := client(), admin()
	defer c.Close()
	defer a.Close()
	start := time.Now().Add(-time.Hour).UnixMilli()
	for number := int64(0); number < 50; number++ {
		record := &kgo.Record{Topic: topic, Value: []byte("v"), Timestamp: time.UnixMilli(start + number*1000)}
		check(c.ProduceSync(ctx, record).FirstErr() == nil, "produce")
	}
	found, _ := must(a.ListOffsetsAfterMilli(ctx, start+10_001, topic)).Lookup(topic, 0)
	check(found.Err == nil && found.Offset == 11, "%v", found)
	records := reader(kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(start + 48_001)))
	defer records.Close()
	check(records.PollFetches(ctx).Records()[0].Offset == 49, "reading starts at the time")
}

type member struct {
	client *kgo.Client
	stop   context.CancelFunc
}

func join(ctx context.Context, owned chan<- map[string]int, name string, options ...kgo.Opt) member {
	ctx, stop := context.WithCancel(ctx)
	var mine int
	tell := func() { owned <- map[string]int{name: mine} }
	all := append([]kgo.Opt{
		kgo.ConsumerGroup(topic), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { mine += len(got[topic]); tell() }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { mine -= len(lost[topic]); tell() }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { mine -= len(lost[topic]); tell() }),
	}, options...)
	c := reader(all...)
	go func() {
		for ctx.Err() == nil {
			c.PollFetches(ctx)
		}
	}()
	return member{c, stop}
}

func (m member) leave() {
	m.stop()
	m.client.Close()
}

func settle(owned <-chan map[string]int, shares map[string]int, wanted []int, what string) {
	end := time.After(30 * time.Second)
	for {
		var got []int
		for _, share := range shares {
			if share > 0 {
				got = append(got, share)
			}
		}
		sort.Ints(got)
		if fmt.Sprint(got) == fmt.Sprint(wanted) {
			return
		}
		select {
		case change := <-owned:
			for name, share := range change {
				shares[name] = share
			}
		case <-end:
			check(false, "%s: shares are %v instead of %v", what, shares, wanted)
		}
	}
}

func joinAndLeave(ctx context.Context) {
	create(ctx, 4, nil)
	balancer := kgo.Balancers(map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}[option])
	owned, shares := make(chan map[string]int, 100), map[string]int{}
	first := join(ctx, owned, "first", balancer)
	settle(owned, shares, []int{4}, "one member")
	second := join(ctx, owned, "second", balancer)
	settle(owned, shares, []int{2, 2}, "two members")
	second.leave()
	settle(owned, shares, []int{4}, "one again")
	first.leave()
}

func staticMembership(ctx context.Context) {
	create(ctx, 4, nil)
	owned, shares := make(chan map[string]int, 100), map[string]int{}
	one := join(ctx, owned, "one", kgo.InstanceID("one"))
	two := join(ctx, owned, "two", kgo.InstanceID("two"))
	settle(owned, shares, []int{2, 2}, "two members")
	_, before := two.client.GroupMetadata()
	two.leave()
	shares["two"] = 0
	back := join(ctx, owned, "back", kgo.InstanceID("two"))
	settle(owned, map[string]int{"one": 2}, []int{2, 2}, "the return")
	_, after := back.client.GroupMetadata()
	check(before == after, "generation %d became %d", before, after)
	back.leave()
	one.leave()
}

func committed(ctx context.Context) {
	create(ctx, 1, nil)
	c, a := client(), admin()
	defer c.Close()
	defer a.Close()
	numbers(ctx, c, 20)
	offsets := kadm.OffsetsFromRecords(kgo.Record{Topic: topic, Partition: 0, Offset: 12})
	check(a.CommitAllOffsets(ctx, topic, offsets) == nil, "commit")
	records := read(ctx, 7, kgo.ConsumerGroup(topic))
	check(records[0].Offset == 13, "reading went on at %d", records[0].Offset)
}

func adminTopics(ctx context.Context) {
	create(ctx, 2, map[string]*string{"retention.ms": text("60000")})
	a := admin()
	defer a.Close()
	details := must(a.ListTopics(ctx, topic))
	check(len(details[topic].Partitions) == 2 && details[topic].ID != (kadm.TopicID{}), "%v", details[topic])
	check(must(a.UpdatePartitions(ctx, 5, topic)).Error() == nil, "update partitions")
	until("five partitions", func() bool { return len(must(a.ListTopics(ctx, topic))[topic].Partitions) == 5 })
	check(must(a.DeleteTopics(ctx, topic)).Error() == nil, "delete")
	until("its end", func() bool { return !must(a.ListTopics(ctx)).Has(topic) })
}

func setting(ctx context.Context, a *kadm.Client, key string) string {
	found := must(must(a.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
	for _, each := range found.Configs {
		if each.Key == key {
			return each.MaybeValue()
		}
	}
	return ""
}

func adminConfigs(ctx context.Context) {
	create(ctx, 1, nil)
	a := admin()
	defer a.Close()
	must(a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("60000")}}, topic))
	until("the new value", func() bool { return setting(ctx, a, "retention.ms") == "60000" })
	must(a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}}, topic))
	until("the default", func() bool { return setting(ctx, a, "retention.ms") == "604800000" })
}

func adminRecords(ctx context.Context) {
	create(ctx, 1, nil)
	c, a := client(), admin()
	defer c.Close()
	defer a.Close()
	numbers(ctx, c, 10)
	wanted := kadm.Offsets{}
	wanted.AddOffset(topic, 0, 4, -1)
	check(must(a.DeleteRecords(ctx, wanted)).Error() == nil, "delete")
	start, _ := must(a.ListStartOffsets(ctx, topic)).Lookup(topic, 0)
	end, _ := must(a.ListEndOffsets(ctx, topic)).Lookup(topic, 0)
	check(start.Offset == 4 && end.Offset == 10, "%v %v", start, end)
}

func adminGroups(ctx context.Context) {
	create(ctx, 1, nil)
	a := admin()
	defer a.Close()
	owned := make(chan map[string]int, 100)
	one := join(ctx, owned, "one")
	settle(owned, map[string]int{}, []int{1}, "one member")
	described := must(a.DescribeGroups(ctx, topic))[topic]
	check(described.State == "Stable" && len(described.Members) == 1, "%v", described)
	check(errors.Is(must(a.DeleteGroups(ctx, topic))[topic].Err, kerr.NonEmptyGroup), "a group with members stays")
	one.leave()
	until("an empty group", func() bool { return must(a.DescribeGroups(ctx, topic))[topic].State == "Empty" })
	check(must(a.DeleteGroups(ctx, topic)).Error() == nil, "delete")
	_, found := must(a.ListGroups(ctx))[topic]
	check(!found, "deleted groups are not listed")
}

func adminCluster(ctx context.Context) {
	create(ctx, 1, nil)
	a := admin()
	defer a.Close()
	metadata := must(a.BrokerMetadata(ctx))
	check(len(metadata.Brokers) == 1 && metadata.Controller == metadata.Brokers[0].NodeID && metadata.Cluster != "", "%v", metadata)
	directories := must(a.DescribeAllLogDirs(ctx, nil))
	check(len(directories) == 1, "%v", directories)
	versions := must(a.ApiVersions(ctx))
	check(len(versions) == 1, "%v", versions)
}

func failures(ctx context.Context) {
	create(ctx, 1, map[string]*string{"max.message.bytes": text("1000")})
	c, a := client(kgo.UnknownTopicRetries(1), kgo.ProducerBatchCompression(kgo.NoCompression())), admin()
	defer c.Close()
	defer a.Close()
	expect := func(got, wanted error) { check(errors.Is(got, wanted), "%v instead of %v", got, wanted) }
	expect(c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 5000)}).FirstErr(), kerr.MessageTooLarge)
	expect(c.ProduceSync(ctx, &kgo.Record{Topic: "no-such-topic"}).FirstErr(), kerr.UnknownTopicOrPartition)
	_, err := a.CreateTopic(ctx, 1, 1, nil, topic)
	expect(err, kerr.TopicAlreadyExists)
	_, err = a.CreateTopic(ctx, 1, 3, nil, topic+"-b")
	expect(err, kerr.InvalidReplicationFactor)
	_, err = a.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": text("soon")}, topic+"-c")
	expect(err, kerr.InvalidConfig)
	_, err = a.CreateTopic(ctx, 1, 1, nil, "not a name")
	expect(err, kerr.InvalidTopicException)
	expect(must(a.DeleteTopics(ctx, "no-such-topic")).Error(), kerr.UnknownTopicOrPartition)
	r := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(99)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer r.Close()
	expect(r.PollFetches(ctx).Err(), kerr.OffsetOutOfRange)
}
