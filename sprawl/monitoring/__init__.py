"""What is measured of a node and its part of the cluster: traffic, partitions, the quorum, groups and their lag; and
the alerts that follow.

In: the parts of a node, read but never changed. Out: metrics in a `Registry`, under the names that dashboards made for
Apache Kafka ask for where there is such a name, under `sprawl_` otherwise. A node without a status page has none of it.
"""
