"""The REST protocol of Cosmos DB (API for NoSQL) in front of the documents engine.

Protocol: https://learn.microsoft.com/rest/api/cosmos-db/, and what the SDKs send and expect.
"""
