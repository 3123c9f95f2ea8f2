# SPDX-License-Identifier: Apache-2.0
"""Whatever its services are asked, the node answers, within limits of memory and time, and goes on.

Where $HOSTILE_CASES sets the number of requests, of which `make hostile` sends 3,000, the table is shown.
"""

import dataclasses
import os
import random
import resource
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from lifecycle_msgs.srv import ChangeState
from sphmask_ros.srv import GetInstanceCloud, LoadModel
from std_srvs.srv import SetBool

from sphmask_ros.parameters import Parameters
from test.helpers.ros import (
    ASK_AGAIN,
    TIMEOUT,
    ask_patiently,
    call,
    change_state,
    header,
    parameter_client,
    scene_message,
    state,
    wait_for,
    wait_until_answerable,
)
from test.hostile.services import damaged, hostile_models, requests

CASES = int(os.environ.get("HOSTILE_CASES", "150"))
SEED = 0
MEMORY = 1 << 30
"""Bytes that the node may map beyond what it has mapped when it is ready."""
LONGEST = 60.0
"""Seconds for an answer, on a machine that does other things; a model is loaded and run in one or two."""
NODE = "/besieged/segment"
SERVICES = {SetBool: "enable"}
OUTCOMES = TAKEN, REFUSED, ABSENT, BROKEN = "taken", "refused", "absent", "broken"


@pytest.fixture(scope="module")
def besieged(own_node):
    return own_node("/besieged")


@pytest.fixture(scope="module")
def player(besieged, own_player):
    player = own_player(besieged, "besieged")
    ask_patiently(player, scene_message())
    return player


def service_of(kind):
    """The name of a service, which is its type's in most."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)
    return SERVICES.get(kind, words.lstrip("_"))


def answer_of(player, client, request):
    """The answer; None where nothing comes, and ABSENT where the service has gone with its camera.

    Whoever asks a camera whose service is new may not be known to it yet, and asks again.
    """
    comes_and_goes = client.srv_type is GetInstanceCloud
    for _ in range(int(LONGEST / ASK_AGAIN) if comes_and_goes else 1):
        if comes_and_goes and not client.service_is_ready():
            return ABSENT
        future = client.call_async(request)
        seconds = ASK_AGAIN if comes_and_goes else LONGEST
        rclpy.spin_until_future_complete(player, future, timeout_sec=seconds)
        if future.done():
            return future.result()
    return None


def outcome(answer):
    """TAKEN, REFUSED, ABSENT or BROKEN: no answer, or a refusal without one line of a reason."""
    if answer in (ABSENT, None):
        return answer or BROKEN
    results = getattr(answer, "results", [getattr(answer, "result", None)])
    told = [(result.successful, result.reason) for result in results if hasattr(result, "successful")]
    if isinstance(answer, LoadModel.Response | GetInstanceCloud.Response):
        told = [(answer.success, answer.message)]
    if any(not good and (not reason or "\n" in reason) for good, reason in told):
        return BROKEN
    refused = isinstance(answer, ChangeState.Response) and not answer.success
    return REFUSED if refused or any(not good for good, _ in told) else TAKEN


def limit_memory(process):
    mapped = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(process.pid, resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))


def show(table):
    """Print how many requests of each service became what."""
    print(f"\n{'service':<28}" + "".join(f"{name:>9}" for name in OUTCOMES))
    for name in sorted({name for name, _ in table}):
        counts = [table[name, result] for result in OUTCOMES]
        print(f"{name:<28}" + "".join(f"{count:>9}" for count in counts))


def test_requests_are_taken_or_refused(player, besieged, weights, tmp_path, capfd):
    makers = requests(hostile_models(tmp_path, Path(weights)))
    clients = {kind: player.create_client(kind, f"{NODE}/{service_of(kind)}") for kind in makers}
    for client in clients.values():
        assert client.wait_for_service(TIMEOUT)
    wait_until_answerable(player, NODE)
    limit_memory(besieged.process)
    cloud = scene_message()
    draw, table, broken = random.Random(SEED), Counter(), []
    for number in range(CASES):
        kind = list(makers)[number % len(makers)]
        request = damaged(makers[kind](draw), draw)
        player.publish(cloud)
        answer = answer_of(player, clients[kind], request)
        said = f"case {number}: {str(request)[:500]}"
        assert besieged.running(), f"{said}\n{besieged.text()[-2000:]}"
        result = outcome(answer)
        table[service_of(kind), result] += 1
        broken += [f"{said} -> {str(answer)[:500]}"] if result == BROKEN else []
    for client in clients.values():
        player.destroy_client(client)
    if "HOSTILE_CASES" in os.environ:
        with capfd.disabled():  # but not what the middleware says of damaged bytes
            show(table)
    assert not broken


def test_then_it_goes_on(player, besieged, weights):
    """It answers once its parameters are good ones and it has been brought back to life."""
    client = parameter_client(player, NODE)
    while (now := state(player, NODE)) != "unconfigured":
        assert change_state(player, NODE, {"active": "deactivate", "inactive": "cleanup"}[now])
    values = dataclasses.asdict(Parameters())
    del values["autostart"]  # which is read at start only
    values |= {"model": str(weights), "min_score": 0.0, "use_sim_time": False}
    good = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    future = client.set_parameters_atomically([rclpy.Parameter(name, value=good[name]) for name in good])
    result = wait_for(player, future).result
    assert result.successful, result.reason
    assert change_state(player, NODE, "configure") and change_state(player, NODE, "activate")
    assert call(player, SetBool, f"{NODE}/enable", data=True).success
    assert ask_patiently(player, scene_message(7)).points.header == header(7)
    assert besieged.running()
