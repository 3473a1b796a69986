// One scenario of sarama per run: sarama <bootstrap> <scenario> <name> [option]; exit code 0 if it held.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

var bootstrap, topic, option string

func main() {
	bootstrap, topic = os.Args[1], os.Args[3]
	if len(os.Args) > 4 {
		option = os.Args[4]
	}
	scenarios := map[string]func(){
		"produce-consume": produceConsume, "shapes": shapes, "compression": compression, "large": large,
		"idempotent": idempotent, "seek-by-time": seekByTime, "join-and-leave": joinAndLeave, "committed": committed,
		"admin-topics": adminTopics, "admin-configs": adminConfigs, "admin-records": adminRecords,
		"admin-groups": adminGroups, "admin-cluster": adminCluster, "errors": failures,
	}
	time.AfterFunc(60*time.Second, func() { check(false, "not within a minute") })
	scenarios[os.Args[2]]()
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

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Metadata.Retry.Max = 1
	return config
}

func admin() sarama.ClusterAdmin {
	return must(sarama.NewClusterAdmin([]string{bootstrap}, settings()))
}

func create(partitions int32, entries map[string]*string) {
	a := admin()
	defer a.Close()
	err := a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas(), ConfigEntries: entries}, false)
	check(err == nil, "%v", err)
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

func send(config *sarama.Config, messages ...*sarama.ProducerMessage) {
	p := must(sarama.NewSyncProducer([]string{bootstrap}, config))
	defer p.Close()
	err := p.SendMessages(messages)
	check(err == nil, "%v", err)
}

func numbers(count int) []*sarama.ProducerMessage {
	messages := make([]*sarama.ProducerMessage, count)
	for number := range messages {
		messages[number] = &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(number))}
	}
	return messages
}

func read(count int, from int64) []*sarama.ConsumerMessage {
	config := settings()
	config.Consumer.Fetch.Default = 16 << 20
	c := must(sarama.NewConsumer([]string{bootstrap}, config))
	defer c.Close()
	partition := must(c.ConsumePartition(topic, 0, from))
	defer partition.Close()
	var messages []*sarama.ConsumerMessage
	for len(messages) < count {
		messages = append(messages, <-partition.Messages())
	}
	return messages
}

func expectNumbers(messages []*sarama.ConsumerMessage) {
	for number, message := range messages {
		check(string(message.Value) == fmt.Sprint(number) && message.Offset == int64(number),
			"%q at offset %d instead of %d", message.Value, message.Offset, number)
	}
}

func produceConsume() {
	create(1, nil)
	send(settings(), numbers(1000)...)
	expectNumbers(read(1000, sarama.OffsetOldest))
}

func shapes() {
	create(1, nil)
	headers := []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}, {Key: []byte("☃"), Value: []byte("☃")}}
	send(settings(),
		&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Headers: headers},
		&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")})
	got := read(2, sarama.OffsetOldest)
	check(string(got[0].Key) == "k" && got[0].Value == nil && len(got[0].Headers) == 3, "%v", got[0])
	check(string(got[0].Headers[1].Value) == "2" && string(got[0].Headers[2].Key) == "☃", "%v", got[0].Headers)
	check(got[1].Key == nil && string(got[1].Value) == "v", "%v", got[1])
}

func compression() {
	create(1, nil)
	config := settings()
	check(config.Producer.Compression.UnmarshalText([]byte(option)) == nil, option)
	send(config, numbers(500)...)
	expectNumbers(read(500, sarama.OffsetOldest))
}

func large() {
	create(1, map[string]*string{"max.message.bytes": text(fmt.Sprint(12 << 20))})
	config := settings()
	config.Producer.MaxMessageBytes = 12 << 20
	value := make([]byte, 10<<20)
	rand.New(rand.NewSource(1)).Read(value)
	send(config, &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(value)})
	check(bytes.Equal(read(1, sarama.OffsetOldest)[0].Value, value), "the same ten MiB")
}

func idempotent() {
	create(1, nil)
	config := settings()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Flush.MaxMessages = 50
	send(config, numbers(2000)...)
	expectNumbers(read(2000, sarama.OffsetOldest))
}

func seekByTime() {
	create(1, nil)
	start := time.Now().Add(-time.Hour).UnixMilli()
	messages := numbers(50)
	for number, message := range messages {
		message.Timestamp = time.UnixMilli(start + int64(number)*1000)
	}
	send(settings(), messages...)
	c := must(sarama.NewClient([]string{bootstrap}, settings()))
	defer c.Close()
	check(must(c.GetOffset(topic, 0, start+10_001)) == 11, "by time")
	check(must(c.GetOffset(topic, 0, sarama.OffsetOldest)) == 0, "oldest")
	check(must(c.GetOffset(topic, 0, sarama.OffsetNewest)) == 50, "newest")
}

type member struct {
	group sarama.ConsumerGroup
	stop  context.CancelFunc
	lock  sync.Mutex
	mine  int
	seen  chan *sarama.ConsumerMessage
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.own(len(session.Claims()[topic]))
	return nil
}
func (m *member) Cleanup(sarama.ConsumerGroupSession) error { m.own(0); return nil }
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		m.seen <- message
	}
	return nil
}
func (m *member) own(count int) { m.lock.Lock(); defer m.lock.Unlock(); m.mine = count }
func (m *member) owns() int     { m.lock.Lock(); defer m.lock.Unlock(); return m.mine }

func join(config *sarama.Config) *member {
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: must(sarama.NewConsumerGroup([]string{bootstrap}, topic, config)), stop: stop, seen: make(chan *sarama.ConsumerMessage, 1000)}
	go func() {
		for ctx.Err() == nil {
			_ = m.group.Consume(ctx, []string{topic}, m)
		}
	}()
	return m
}

func (m *member) leave() {
	m.stop()
	m.group.Close()
}

func until(what string, ask func() bool) {
	end := time.Now().Add(30 * time.Second)
	for !ask() {
		check(time.Now().Before(end), "%s: not within 30 s", what)
		time.Sleep(10 * time.Millisecond)
	}
}

func joinAndLeave() {
	create(4, nil)
	config := settings()
	strategy := map[string]sarama.BalanceStrategy{
		"range": sarama.NewBalanceStrategyRange(), "roundrobin": sarama.NewBalanceStrategyRoundRobin(), "sticky": sarama.NewBalanceStrategySticky(),
	}[option]
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	first := join(config)
	until("one member", func() bool { return first.owns() == 4 })
	second := join(config)
	until("two members", func() bool { return first.owns() == 2 && second.owns() == 2 })
	second.leave()
	until("one again", func() bool { return first.owns() == 4 })
	first.leave()
}

func committed() {
	create(1, nil)
	send(settings(), numbers(20)...)
	c := must(sarama.NewClient([]string{bootstrap}, settings()))
	defer c.Close()
	offsets := must(sarama.NewOffsetManagerFromClient(topic, c))
	partition := must(offsets.ManagePartition(topic, 0))
	partition.MarkOffset(13, "halfway")
	offsets.Commit()
	partition.Close()
	offsets.Close()
	one := join(settings())
	check((<-one.seen).Offset == 13, "reading goes on")
	one.leave()
}

func adminTopics() {
	create(2, map[string]*string{"retention.ms": text("60000")})
	a := admin()
	defer a.Close()
	found := must(a.ListTopics())[topic]
	check(found.NumPartitions == 2 && *found.ConfigEntries["retention.ms"] == "60000", "%v", found)
	check(a.CreatePartitions(topic, 5, nil, false) == nil, "create partitions")
	until("five partitions", func() bool { return len(must(a.DescribeTopics([]string{topic}))[0].Partitions) == 5 })
	check(a.DeleteTopic(topic) == nil, "delete")
	until("its end", func() bool { _, listed := must(a.ListTopics())[topic]; return !listed })
}

func adminConfigs() {
	create(1, nil)
	a := admin()
	defer a.Close()
	value := func() string {
		return must(a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}}))[0].Value
	}
	set := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: text("60000")}}
	check(a.IncrementalAlterConfig(sarama.TopicResource, topic, set, false) == nil, "alter")
	until("the new value", func() bool { return value() == "60000" })
	check(a.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": text("70000")}, false) == nil, "alter the old way")
	until("the newer value", func() bool { return value() == "70000" })
}

func adminRecords() {
	create(1, nil)
	send(settings(), numbers(10)...)
	a := admin()
	defer a.Close()
	err := a.DeleteRecords(topic, map[int32]int64{0: 4})
	check(err == nil, "%v", err)
	check(read(1, sarama.OffsetOldest)[0].Offset == 4, "the first record left")
}

func adminGroups() {
	create(1, nil)
	a := admin()
	defer a.Close()
	one := join(settings())
	until("its partition", func() bool { return one.owns() == 1 })
	described := must(a.DescribeConsumerGroups([]string{topic}))[0]
	check(described.State == "Stable" && len(described.Members) == 1, "%v", described)
	check(errors.Is(a.DeleteConsumerGroup(topic), sarama.ErrNonEmptyGroup), "a group with members stays")
	one.leave()
	until("an empty group", func() bool { return must(a.DescribeConsumerGroups([]string{topic}))[0].State == "Empty" })
	check(a.DeleteConsumerGroup(topic) == nil, "delete")
	_, listed := must(a.ListConsumerGroups())[topic]
	check(!listed, "deleted groups are not listed")
}

func adminCluster() {
	create(1, nil)
	a := admin()
	defer a.Close()
	brokers, controller, err := a.DescribeCluster()
	check(err == nil && len(brokers) == 1 && brokers[0].ID() == controller, "%v %v", brokers, err)
	directories := must(a.DescribeLogDirs([]int32{controller}))
	check(len(directories[controller]) == 1, "%v", directories)
}

func failures() {
	create(1, map[string]*string{"max.message.bytes": text("1000")})
	p := must(sarama.NewSyncProducer([]string{bootstrap}, settings()))
	defer p.Close()
	a := admin()
	defer a.Close()
	expect := func(got, wanted error) { check(errors.Is(got, wanted), "%v instead of %v", got, wanted) }
	_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(make([]byte, 5000))})
	expect(err, sarama.ErrMessageSizeTooLarge)
	_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: "no-such-topic", Value: sarama.StringEncoder("v")})
	expect(err, sarama.ErrUnknownTopicOrPartition)
	detail := func(replicas int16, entries map[string]*string) *sarama.TopicDetail {
		return &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: replicas, ConfigEntries: entries}
	}
	expect(a.CreateTopic(topic, detail(1, nil), false), sarama.ErrTopicAlreadyExists)
	expect(a.CreateTopic(topic+"-b", detail(3, nil), false), sarama.ErrInvalidReplicationFactor)
	expect(a.CreateTopic(topic+"-c", detail(1, map[string]*string{"retention.ms": text("soon")}), false), sarama.ErrInvalidConfig)
	expect(a.CreateTopic("not a name", detail(1, nil), false), sarama.ErrInvalidTopic)
	expect(a.DeleteTopic("no-such-topic"), sarama.ErrUnknownTopicOrPartition)
	c := must(sarama.NewConsumer([]string{bootstrap}, settings()))
	defer c.Close()
	_, err = c.ConsumePartition(topic, 0, 99)
	expect(err, sarama.ErrOffsetOutOfRange)
}
