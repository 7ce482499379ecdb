"""The offline gate for everything under `infra/`: `python -m tests.infra`.

It is not a compiler. It knows the grammar, the names, the properties of Microsoft's SDK models and our
own rules; `az bicep build`, which needs the network, runs in CI.
"""
