"""The embedded documents adapter keeps the contract of the port."""

import pytest

from adapters.embedded.documents import EmbeddedDocuments
from core.documents import Documents, DocumentsUnavailable, TooManyRequests
from emulator.documents.engine import DocumentsEngine
from tests.contract.documents_requests import STREAM, item
from tests.contract.engine_suite import EngineSuite


class TestEmbeddedDocuments(EngineSuite):
    @pytest.fixture
    def documents(self, engine: DocumentsEngine) -> Documents:
        return EmbeddedDocuments(lambda: engine)

    async def test_faults_of_the_engine_are_the_ports_transient_errors(
        self, documents: Documents, engine: DocumentsEngine
    ) -> None:
        engine.fail_until(self.clock.now + 30)
        with pytest.raises(DocumentsUnavailable):
            await documents.create("orders", STREAM, item())
        engine.fail_until(self.clock.now + 30, retry_after_s=1.5)
        with pytest.raises(TooManyRequests) as caught:
            await documents.read("orders", STREAM, "1")
        assert caught.value.retry_after_s == 1.5
