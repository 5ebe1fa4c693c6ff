"""Instances of one process share the shortcuts for the SDKs."""

from azure.durable_functions import DurableOrchestrationContext
from azure.durable_functions.models.ReplaySchema import ReplaySchema
from azure.functions import Document
from azure.functions.servicebus import ServiceBusMessageInConverter

from emulator.host import shortcuts


def in_place():
    return [
        DurableOrchestrationContext.__dict__["from_json"],
        Document.__dict__["from_dict"],
        ServiceBusMessageInConverter.decode,
        ReplaySchema.__dict__.get("value"),
    ]


def test_the_last_instance_takes_them_back_in_whichever_order_they_stop():
    before = in_place()
    leave_first, leave_second = shortcuts.use(), shortcuts.use()
    installed = in_place()
    assert all(one is not other for one, other in zip(installed, before, strict=True))
    leave_first()
    leave_first()
    assert in_place() == installed
    leave_second()
    assert in_place() == before
