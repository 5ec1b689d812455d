"""kopf is tuned to watch and to do nothing else."""

from __future__ import annotations

import itertools

from leadsman.shell.watching import Endless, NoDiffBase, NoProgress, tuned


def test_it_writes_and_remembers_nothing() -> None:
    settings = tuned()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert isinstance(settings.persistence.diffbase_storage, NoDiffBase)
    assert isinstance(settings.persistence.progress_storage, NoProgress)


def test_no_body_is_copied_to_find_differences() -> None:
    storage, essence = NoProgress(), {"a": 1}
    assert NoDiffBase().build(body=None) == {}  # type: ignore[arg-type]
    assert storage.clear(essence=essence) is essence


def test_a_lost_watch_is_noticed_within_seventy_seconds() -> None:
    settings = tuned().watching
    assert 60 < settings.inactivity_timeout <= 70
    assert (settings.server_timeout, settings.client_timeout) == (290, 300)
    assert settings.connect_timeout == 5
    assert settings.chunk_size == 500


def test_an_api_server_that_is_down_for_an_hour_does_not_end_the_process() -> None:
    pauses = Endless()
    for _ in range(2):
        assert sum(itertools.islice(pauses, 400)) > 3600
    assert tuned().networking.request_timeout == 30
    assert isinstance(tuned().networking.error_backoffs, Endless)
