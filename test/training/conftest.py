# SPDX-License-Identifier: Apache-2.0
"""Made scenes are cached beside the test, never in the user's own folder."""

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
