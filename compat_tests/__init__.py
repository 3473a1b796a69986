"""Real clients against a broker started as a user would start it.

One folder per client; each test carries `@pytest.mark.feature("...")`.
The run ends with the matrix of client and feature, and a whole
run against Sprawl writes it to `docs/compatibility.md`.

The same tests hold for Apache Kafka, which is how we know that they ask for the right thing:

    SPRAWL_COMPAT_TARGET=kafka pytest compat_tests
"""
