"""Kafka's broker keys that do nothing here, and why.

They are known so that a file made for Kafka can be used as it is: each is named in one warning at start, and
DescribeConfigs answers with Kafka's default or what was set. Read only when somebody asks; start-up does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from sprawl.config.definitions import ConfigType, Definition, InvalidValueError, Value

_KEYS: Final = {
    "transactions are not built yet": """
add.partitions.to.txn.retry.backoff.max.ms INT 100
add.partitions.to.txn.retry.backoff.ms INT 20
transaction.abort.timed.out.transaction.cleanup.interval.ms INT 10000
transaction.max.timeout.ms INT 900000
transaction.partition.verification.enable BOOLEAN true
transaction.remove.expired.transaction.cleanup.interval.ms INT 3600000
transaction.state.log.load.buffer.size INT 5242880
transaction.state.log.min.isr INT 2
transaction.state.log.num.partitions INT 50
transaction.state.log.replication.factor SHORT 3
transaction.state.log.segment.bytes INT 104857600
transaction.two.phase.commit.enable BOOLEAN false
transactional.id.expiration.ms INT 604800000
""",
    "Java classes cannot be loaded here": """
alter.config.policy.class.name CLASS null
authorizer.class.name STRING
client.quota.callback.class CLASS null
config.providers LIST
create.topic.policy.class.name CLASS null
group.share.dlq.manager.class.name STRING org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager internal
group.share.persister.class.name STRING org.apache.kafka.server.share.persister.DefaultStatePersister internal
group.streams.topology.description.plugin.class CLASS null
kafka.metrics.reporters LIST
metric.reporters LIST org.apache.kafka.common.metrics.JmxReporter
principal.builder.class CLASS org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder
remote.log.metadata.manager.class.name STRING org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager
remote.log.metadata.manager.class.path STRING null
remote.log.storage.manager.class.name STRING null
remote.log.storage.manager.class.path STRING null
security.providers STRING null
""",  # noqa: E501 - a Java class name
    "quotas are not built yet": """
alter.log.dirs.replication.quota.window.num INT 11
alter.log.dirs.replication.quota.window.size.seconds INT 1
controller.quota.window.num INT 11
controller.quota.window.size.seconds INT 1
max.connection.creation.rate INT 2147483647
quota.window.num INT 11
quota.window.size.seconds INT 1
remote.log.manager.copy.quota.window.num INT 11
remote.log.manager.copy.quota.window.size.seconds INT 1
remote.log.manager.fetch.quota.window.num INT 11
remote.log.manager.fetch.quota.window.size.seconds INT 1
replication.quota.window.num INT 11
replication.quota.window.size.seconds INT 1
""",
    "nodes reach each other through the first listener": """
inter.broker.listener.name STRING null
""",
    "a node follows each leader over one link": """
num.replica.fetchers INT 1
""",
    "links between nodes keep their own deadlines": """
replica.socket.receive.buffer.bytes INT 65536
replica.socket.timeout.ms INT 30000
request.timeout.ms INT 30000
socket.connection.setup.timeout.max.ms LONG 30000
socket.connection.setup.timeout.ms LONG 10000
""",
    "high watermarks are found anew from the in-sync replicas": """
replica.high.watermark.checkpoint.interval.ms LONG 5000
""",
    "unclean elections are held at once, where they are allowed": """
unclean.leader.election.interval.ms LONG 300000 internal
""",
    "one event loop serves a node: there are no thread pools to size": """
background.threads INT 10
group.coordinator.background.threads INT 2
group.coordinator.threads INT 4
log.cleaner.threads INT 1
num.io.threads INT 8
num.network.threads INT 3
num.recovery.threads.per.data.dir INT 2
num.replica.alter.log.dirs.threads INT null
remote.log.manager.copier.thread.pool.size INT 10
remote.log.manager.expiration.thread.pool.size INT 10
remote.log.manager.follower.thread.pool.size INT 2
remote.log.manager.thread.pool.size INT 2
remote.log.reader.threads INT 10
share.coordinator.threads INT 1
""",
    "the metadata quorum keeps its own pace, and finds its voters by itself": """
controller.quorum.append.linger.ms INT 25
controller.quorum.auto.join.enable BOOLEAN false
controller.quorum.bootstrap.servers LIST
controller.quorum.election.backoff.max.ms INT 1000
controller.quorum.election.timeout.ms INT 1000
controller.quorum.fetch.max.bytes INT 1048576
controller.quorum.fetch.snapshot.max.bytes INT 1048576
controller.quorum.fetch.timeout.ms INT 2000
controller.quorum.request.timeout.ms INT 2000
controller.quorum.retry.backoff.ms INT 20
controller.quorum.voters LIST
controller.socket.timeout.ms INT 30000
early.start.listeners LIST null
initial.broker.registration.timeout.ms INT 60000
metadata.max.idle.interval.ms INT 500
""",
    "TLS and SASL are not built yet": """
connection.failed.authentication.delay.ms INT 100
connections.max.reauth.ms LONG 0
delegation.token.expiry.check.interval.ms LONG 3600000
delegation.token.expiry.time.ms LONG 86400000
delegation.token.max.lifetime.ms LONG 604800000
delegation.token.secret.key PASSWORD null
sasl.client.callback.handler.class CLASS null
sasl.enabled.mechanisms LIST GSSAPI
sasl.jaas.config PASSWORD null
sasl.kerberos.kinit.cmd STRING /usr/bin/kinit
sasl.kerberos.min.time.before.relogin LONG 60000
sasl.kerberos.principal.to.local.rules LIST DEFAULT
sasl.kerberos.service.name STRING null
sasl.kerberos.ticket.renew.jitter DOUBLE 0.05
sasl.kerberos.ticket.renew.window.factor DOUBLE 0.8
sasl.login.callback.handler.class CLASS null
sasl.login.class CLASS null
sasl.login.connect.timeout.ms INT null
sasl.login.read.timeout.ms INT null
sasl.login.refresh.buffer.seconds SHORT 300
sasl.login.refresh.min.period.seconds SHORT 60
sasl.login.refresh.window.factor DOUBLE 0.8
sasl.login.refresh.window.jitter DOUBLE 0.05
sasl.login.retry.backoff.max.ms LONG 10000
sasl.login.retry.backoff.ms LONG 100
sasl.mechanism.controller.protocol STRING GSSAPI
sasl.mechanism.inter.broker.protocol STRING GSSAPI
sasl.oauthbearer.allow.unverified.audience BOOLEAN false
sasl.oauthbearer.allow.unverified.issuer BOOLEAN false
sasl.oauthbearer.assertion.algorithm STRING RS256
sasl.oauthbearer.assertion.claim.aud STRING null
sasl.oauthbearer.assertion.claim.exp.seconds INT 300
sasl.oauthbearer.assertion.claim.iss STRING null
sasl.oauthbearer.assertion.claim.jti.include BOOLEAN false
sasl.oauthbearer.assertion.claim.nbf.seconds INT 60
sasl.oauthbearer.assertion.claim.sub STRING null
sasl.oauthbearer.assertion.file STRING null
sasl.oauthbearer.assertion.private.key.file STRING null
sasl.oauthbearer.assertion.private.key.passphrase PASSWORD null
sasl.oauthbearer.assertion.template.file STRING null
sasl.oauthbearer.client.credentials.client.id STRING null
sasl.oauthbearer.client.credentials.client.secret PASSWORD null
sasl.oauthbearer.clock.skew.seconds INT 30
sasl.oauthbearer.expected.audience LIST
sasl.oauthbearer.expected.issuer STRING null
sasl.oauthbearer.jwks.endpoint.refresh.ms LONG 3600000
sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms LONG 10000
sasl.oauthbearer.jwks.endpoint.retry.backoff.ms LONG 100
sasl.oauthbearer.jwks.endpoint.url STRING null
sasl.oauthbearer.jwt.retriever.class CLASS org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever
sasl.oauthbearer.jwt.validator.class CLASS org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator
sasl.oauthbearer.scope STRING null
sasl.oauthbearer.scope.claim.name STRING scope
sasl.oauthbearer.sub.claim.name STRING sub
sasl.oauthbearer.token.endpoint.url STRING null
sasl.server.callback.handler.class CLASS null
sasl.server.max.receive.size INT 524288
security.inter.broker.protocol STRING PLAINTEXT
ssl.allow.dn.changes BOOLEAN false
ssl.allow.san.changes BOOLEAN false
ssl.cipher.suites LIST
ssl.client.auth STRING none
ssl.enabled.protocols LIST TLSv1.2,TLSv1.3
ssl.endpoint.identification.algorithm STRING https
ssl.engine.factory.class CLASS null
ssl.key.password PASSWORD null
ssl.keymanager.algorithm STRING SunX509
ssl.keystore.certificate.chain PASSWORD null
ssl.keystore.key PASSWORD null
ssl.keystore.location STRING null
ssl.keystore.password PASSWORD null
ssl.keystore.type STRING JKS
ssl.principal.mapping.rules STRING DEFAULT
ssl.protocol STRING TLSv1.3
ssl.provider STRING null
ssl.secure.random.implementation STRING null
ssl.trustmanager.algorithm STRING PKIX
ssl.truststore.certificates PASSWORD null
ssl.truststore.location STRING null
ssl.truststore.password PASSWORD null
ssl.truststore.type STRING JKS
""",
    "a switch of Kafka's own tests": """
controller.performance.always.log.threshold.ms LONG 2000 internal
controller.performance.sample.period.ms LONG 60000 internal
server.max.startup.time.ms LONG 9223372036854775807 internal
unstable.api.versions.enable BOOLEAN false internal
unstable.feature.versions.enable BOOLEAN false internal
""",
    "a node has one data directory, and stops when that fails": """
cordoned.log.dirs LIST
log.dir.failure.timeout.ms LONG 30000
""",
    "waiting requests are dropped when they are answered: there is nothing to purge": """
delete.records.purgatory.purge.interval.requests INT 1
fetch.purgatory.purge.interval.requests INT 1000
producer.purgatory.purge.interval.requests INT 1000
share.fetch.purgatory.purge.interval.requests INT 1000
""",
    "share groups are not built yet": """
errors.deadletterqueue.auto.create.topics.enable BOOLEAN false
errors.deadletterqueue.topic.name.prefix STRING dlq.
group.share.assignment.interval.ms INT 1000
group.share.assignor.offload.enable BOOLEAN true internal
group.share.assignors LIST simple
group.share.delivery.count.limit INT 5
group.share.heartbeat.interval.ms INT 5000
group.share.initialize.retry.interval.ms INT 30000 internal
group.share.max.assignment.interval.ms INT 15000
group.share.max.delivery.count.limit INT 10
group.share.max.heartbeat.interval.ms INT 15000
group.share.max.partition.max.record.locks INT 4000
group.share.max.record.lock.duration.ms INT 60000
group.share.max.session.timeout.ms INT 60000
group.share.max.share.sessions INT 2000
group.share.max.size INT 200
group.share.min.assignment.interval.ms INT 0
group.share.min.delivery.count.limit INT 2
group.share.min.heartbeat.interval.ms INT 5000
group.share.min.partition.max.record.locks INT 100
group.share.min.record.lock.duration.ms INT 15000
group.share.min.session.timeout.ms INT 45000
group.share.partition.max.record.locks INT 2000
group.share.record.lock.duration.ms INT 30000
group.share.session.timeout.ms INT 45000
share.coordinator.append.linger.ms INT -1
share.coordinator.cached.buffer.max.bytes INT 1048588
share.coordinator.cold.partition.snapshot.interval.ms INT 300000 internal
share.coordinator.load.buffer.size INT 5242880
share.coordinator.snapshot.update.records.per.snapshot INT 500
share.coordinator.state.topic.compression.codec INT 0
share.coordinator.state.topic.min.isr SHORT 2
share.coordinator.state.topic.num.partitions INT 50
share.coordinator.state.topic.prune.interval.ms INT 300000 internal
share.coordinator.state.topic.replication.factor SHORT 3
share.coordinator.state.topic.segment.bytes INT 104857600
share.coordinator.write.timeout.ms INT 5000
""",
    "the tier is read and written by parts of its own, which bring their own limits": """
follower.fetch.last.tiered.offset.enable BOOLEAN false
remote.log.index.file.cache.total.size.bytes LONG 1073741824
remote.log.index.file.cache.ttl.ms LONG 900000 internal
remote.log.manager.copy.max.bytes.per.second LONG 9223372036854775807
remote.log.manager.fetch.max.bytes.per.second LONG 9223372036854775807
remote.log.manager.task.retry.backoff.max.ms LONG 30000 internal
remote.log.manager.task.retry.backoff.ms LONG 500 internal
remote.log.manager.task.retry.jitter DOUBLE 0.2 internal
remote.log.metadata.custom.metadata.max.bytes INT 128
remote.log.metadata.manager.impl.prefix STRING rlmm.config.
remote.log.metadata.manager.listener.name STRING null
remote.log.reader.max.pending.tasks INT 100
remote.log.storage.manager.impl.prefix STRING rsm.config.
""",
    "the consumer group protocol of KIP-848 is not built yet": """
group.consumer.assignment.interval.ms INT 1000
group.consumer.assignor.offload.enable BOOLEAN true internal
group.consumer.assignors LIST uniform,range
group.consumer.heartbeat.interval.ms INT 5000
group.consumer.max.assignment.interval.ms INT 15000
group.consumer.max.heartbeat.interval.ms INT 15000
group.consumer.max.session.timeout.ms INT 60000
group.consumer.max.size INT 2147483647
group.consumer.migration.policy STRING bidirectional
group.consumer.min.assignment.interval.ms INT 0
group.consumer.min.heartbeat.interval.ms INT 5000
group.consumer.min.session.timeout.ms INT 45000
group.consumer.regex.refresh.interval.ms INT 600000 internal
group.consumer.session.timeout.ms INT 45000
""",
    "coordinators run on the node's event loop and write as they go": """
group.coordinator.append.linger.ms INT -1
group.coordinator.cached.buffer.max.bytes INT 1048588
group.coordinator.rebalance.protocols LIST classic,consumer,streams
offsets.load.buffer.size INT 5242880
offsets.topic.compression.codec INT 0
""",
    "streams groups are not built yet": """
group.streams.acceptable.recovery.lag LONG 10000 internal
group.streams.assignment.interval.ms INT 1000
group.streams.assignor.offload.enable BOOLEAN true internal
group.streams.assignors LIST sticky
group.streams.heartbeat.interval.ms INT 5000
group.streams.initial.rebalance.delay.ms INT 3000
group.streams.max.assignment.interval.ms INT 15000
group.streams.max.heartbeat.interval.ms INT 15000
group.streams.max.session.timeout.ms INT 60000
group.streams.max.size INT 2147483647
group.streams.max.standby.replicas INT 2
group.streams.max.warmup.replicas INT 20 internal
group.streams.min.assignment.interval.ms INT 0
group.streams.min.heartbeat.interval.ms INT 5000
group.streams.min.session.timeout.ms INT 45000
group.streams.min.task.offset.interval.ms INT 15000 internal
group.streams.num.standby.replicas INT 0
group.streams.num.warmup.replicas INT 2 internal
group.streams.rack.aware.assignment.tags LIST
group.streams.session.timeout.ms INT 45000
group.streams.task.offset.interval.ms INT 60000 internal
""",
    "the metadata log is kept small by its snapshots": """
internal.metadata.delete.delay.millis LONG 60000 internal
internal.metadata.log.segment.bytes INT null internal
internal.metadata.max.batch.size.in.bytes INT 8388608 internal
metadata.log.dir STRING null
metadata.log.segment.ms LONG 604800000
metadata.max.retention.bytes LONG 104857600
metadata.max.retention.ms LONG 604800000
""",
    "metrics are counters, served at /metrics and sampled by who reads them": """
kafka.metrics.polling.interval.secs INT 10
metrics.num.samples INT 2
metrics.recording.level STRING INFO
metrics.sample.window.ms LONG 30000
""",
    "compaction reads as the log is read, and fills its table of keys as far as memory goes": """
log.cleaner.io.buffer.load.factor DOUBLE 0.9
log.cleaner.io.buffer.size INT 524288
""",
    "recovery finds these offsets in the log itself": """
log.flush.offset.checkpoint.interval.ms INT 60000
log.flush.start.offset.checkpoint.interval.ms INT 60000
log.initial.task.delay.ms LONG 30000 internal
""",
    "limits per address are the same for all addresses": """
max.connections.per.ip.overrides STRING
""",
    "every node is a broker, and a voter where the quorum wants one": """
process.roles LIST
""",
    "producers are expired as partitions are written and rolled": """
producer.id.expiration.check.interval.ms INT 600000 internal
""",
    "the operating system sizes socket buffers": """
socket.receive.buffer.bytes INT 102400
socket.send.buffer.bytes INT 102400
""",
    "client telemetry is not built yet": """
telemetry.max.bytes INT 1048576
""",
}


@cache
def inert_definitions() -> Mapping[str, Definition]:
    """By name."""
    found: dict[str, Definition] = {}
    for reason, lines in _KEYS.items():
        for line in lines.split("\n"):
            if line:
                definition = _definition(line, reason)
                found[definition.name] = definition
    return found


def _definition(line: str, reason: str) -> Definition:
    """One line: key, type, default (`null`, or nothing for an empty one), and `internal` if nobody should see it."""
    name, kind, *rest = line.split(" ")
    internal = rest[-1:] == ["internal"]
    text = " ".join(rest[:-1] if internal else rest)
    plain = Definition(name, ConfigType[kind], None, "", inert=reason, internal=internal)
    default: Value = None
    if text != "null":
        try:
            default = plain.parse(text)
        except InvalidValueError:
            default = text
    return Definition(name, plain.type, default, f"No effect: {reason}.", inert=reason, internal=internal)
