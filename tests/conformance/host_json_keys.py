"""The keys that the Functions host 4.x and the extensions of bundle 4.x know in host.json.

A key that they do not know is ignored without a word, so a misspelt limit is found in production. SOURCES has
the page of each section; where a page lags, the options class of the extension.
"""

from collections.abc import Iterator, Mapping

type Keys = Mapping[str, "Keys | None"]
"""None: a value, or an object whose keys are free."""

LEARN = "https://learn.microsoft.com/azure/azure-functions/"
SOURCES = {
    "": LEARN + "functions-host-json",
    "extensions.http": LEARN + "functions-bindings-http-webhook#hostjson-settings",
    "extensions.serviceBus": LEARN + "functions-bindings-service-bus#hostjson-settings",
    "extensions.cosmosDB": LEARN + "functions-bindings-cosmosdb-v2#hostjson-settings",
    "extensions.durableTask": LEARN + "durable/durable-functions-host-json-settings",
    "extensions.durableTask.storageProvider": "https://github.com/Azure/azure-functions-durable-extension/blob/main/src"
    "/WebJobs.Extensions.DurableTask/Options/AzureStorageOptions.cs",
}


def _values(names: str) -> dict[str, None]:
    return dict.fromkeys(names.split())


KNOWN: Keys = {
    **_values("version functionTimeout telemetryMode functions watchDirectories watchFiles aggregator"),
    **_values("managedDependency singleton healthMonitor customHandler sendCanceledInvocationsToWorker"),
    "concurrency": _values("dynamicConcurrencyEnabled snapshotPersistenceEnabled"),
    "extensionBundle": _values("id version"),
    "logging": _values("fileLoggingMode logLevel console applicationInsights"),
    "extensions": {
        "http": _values(
            "routePrefix maxOutstandingRequests maxConcurrentRequests dynamicThrottlesEnabled hsts "
            "customHeaders"
        ),
        "serviceBus": {
            "clientRetryOptions": _values("mode tryTimeout delay maxDelay maxRetries"),
            **_values("prefetchCount transportType webProxy autoCompleteMessages maxAutoLockRenewalDuration"),
            **_values("maxConcurrentCalls maxConcurrentSessions maxMessageBatchSize minMessageBatchSize"),
            **_values("maxBatchWaitTime sessionIdleTimeout enableCrossEntityTransactions"),
        },
        "cosmosDB": _values("connectionMode userAgentSuffix"),
        "durableTask": {
            **_values("hubName defaultVersion versionMatchStrategy versionFailureStrategy"),
            **_values("maxConcurrentActivityFunctions maxConcurrentOrchestratorFunctions"),
            **_values("maxConcurrentEntityFunctions maxEntityOperationBatchSize maxOrchestrationActions"),
            **_values("extendedSessionsEnabled extendedSessionIdleTimeoutInSeconds useGracefulShutdown"),
            **_values("overridableExistingInstanceStates storeInputsInOrchestrationHistory useAppLease"),
            **_values("maxGrpcMessageSizeInBytes grpcHttpClientTimeout httpSettings notifications"),
            "tracing": _values("distributedTracingEnabled version traceInputsAndOutputs traceReplayEvents"),
            "storageProvider": {
                **_values("type connectionName connectionStringName"),
                # azureStorage
                **_values("controlQueueBatchSize controlQueueBufferThreshold controlQueueVisibilityTimeout"),
                **_values("workItemQueueVisibilityTimeout maxQueuePollingInterval partitionCount"),
                **_values(
                    "fetchLargeMessagesAutomatically trackingStoreNamePrefix useTablePartitionManagement"
                ),
                **_values("trackingStoreConnectionName trackingStoreConnectionStringName"),
                **_values(
                    "useLegacyPartitionManagement allowReplayingTerminalInstances queueClientMessageEncoding"
                ),
                # azureManaged: https://github.com/Azure-Samples/Durable-Task-Scheduler, its host.json files
                **_values("workItemFilteringEnabled"),
            },
        },
    },
}


def unknown_keys(document: object, known: Keys, where: str = "") -> Iterator[str]:
    """Paths of keys that are not known, as `extensions.serviceBus.maxConcurentCalls`."""
    if not isinstance(document, Mapping):
        return
    for name, value in document.items():
        path = f"{where}.{name}" if where else name
        if name not in known:
            yield path
        elif (below := known[name]) is not None:
            yield from unknown_keys(value, below, path)


def leaves(document: Mapping[str, object], where: str = "") -> Iterator[str]:
    """Paths of all values."""
    for name, value in document.items():
        path = f"{where}.{name}" if where else name
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path
