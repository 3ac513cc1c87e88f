"""What must hold whenever nothing is under way: nothing lost, nothing left over, nothing beyond its bounds."""
import os

import cage
import wire
from clients import A2A, OVER, text_of_parts, text_of_response
from oracle import NO, YES, Seen, check_conversation, check_response, settle

QUIET_S = 60
TIDY_S = 15
MORE_DESCRIPTORS = 30
MOST_DESCRIPTORS = 200
MOST_RESIDENT_MIB = 700
MOST_THREADS = 400


def at_rest(world):
    """Everything, on a server that nobody asks anything at the moment."""
    record, server = world.record, world.server
    if not server.running():
        record.finding("crash", f"the server is gone, status {server.process.poll()}: {server.last_words()}")
        why = server.start()
        if why is not None:
            raise RuntimeError(why)
    if not cage.wait_for(lambda: quiet(world), QUIET_S):
        record.finding("hang", f"requests or writes are under way {QUIET_S} s after the last client: {gauges(world)}")
    settle_work(world)
    check_agents(world)
    record.at_rest()
    check_conversations(world)
    check_tasks(world)
    if world.has_room_again:
        check_saves(world)
    check_files(world)
    check_bounds(world)


def gauges(world):
    return wire.metrics(wire.done(world.port, "GET", "/metrics", headers=world.admin).body.decode())


def quiet(world):
    now = gauges(world)
    return now["engram_requests_in_flight"][""] == 0 and now["engram_write_queue_bytes"][""] == 0


def transcript(client, name):
    """Role and content of each message; None when there is no such agent."""
    try:
        return [(m["role"], m["content"]) for m in client.call("GET", f"/v1/agents/{name}/transcript").json()["messages"]]
    except wire.Refused as error:
        if error.status == 404:
            return None
        raise


# --- work that went on without its client ---

def settle_work(world):
    """What came of it is known, by its own word: an agent has a turn that is done, and has none of what is not."""
    for client in world.clients:
        for agent in client.agents:
            if agent.pending is not None and agent.pending.work is not None:
                (settle_task if agent.pending.work.kind == "task" else settle_node)(world, client, agent)


def settle_task(world, client, agent):
    """A task that has failed may have had its turn."""
    page = client.call("GET", f"/a2a/tasks?contextId={agent.name}&historyLength=9&includeArtifacts=true&pageSize=100", headers=A2A).json()
    task = next((task for task in page["tasks"] if task["history"][0]["messageId"] == agent.pending.work.key), None)
    if task is None:
        agent.pending = None
    elif task["status"]["state"] not in OVER:
        world.record.finding("hang", f"a task of {agent.name} is at work, and nothing is under way: {task['status']}")
    elif task["status"]["state"] == "TASK_STATE_COMPLETED":
        client.take_task(agent, task)
    world.record.checks["tasks that were left"] += 1


def settle_node(world, client, agent):
    """A run that was broken off goes on; one that can't leaves nothing in its agents' memories."""
    run = run_to_its_end(world, client, agent.pending.work.key)
    if run is None or not client.take_node(agent, run):
        agent.pending = None
    world.record.checks["workflows that were left"] += 1


def run_to_its_end(world, client, name):
    """The run of that workflow; None when there is none. One that failed is resumed once, now that nothing stands in its way."""
    runs = client.call("GET", "/v1/workflows").json()["runs"]
    mine = next((run["id"] for run in runs if run["workflow"] == name), None)
    if mine is None:
        return None
    run, resumed = {}, False

    def over():
        nonlocal run, resumed
        run = client.call("GET", f"/v1/workflows/{mine}").json()
        if run["state"] == "finished":
            return True
        if run["state"] == "running":
            return False
        if not resumed:
            # A quota may still be in force, and the thread of the run at its last step.
            resumed = wire.ask(world.port, "POST", f"/v1/workflows/{mine}/resume", headers=client.key).status == 202
            return False
        return run["state"] == "failed"

    if not cage.wait_for(over, QUIET_S):
        world.record.finding("hang", f"the workflow {name} doesn't end: {run}")
    return run


def check_tasks(world):
    for client in world.clients:
        for task, answer in client.tasks:
            try:
                shown = client.call("GET", f"/a2a/tasks/{task}", headers=A2A).json()
            except wire.Refused as error:
                world.record.check("tasks", [f"lost: the task {task} of {client.tenant}: {error}"])
                continue
            right = shown["status"]["state"] == "TASK_STATE_COMPLETED" and text_of_parts(shown["artifacts"][0]) == answer
            world.record.check("tasks", [] if right else [f"wrong: the task {task} of {client.tenant} is {shown}, and was {answer!r}"])


def check_agents(world):
    shown = {}
    for tenant in world.tenants:
        reply = wire.done(world.port, "GET", "/v1/agents", headers={"authorization": f"Bearer {world.keys[tenant]}"})
        shown[tenant] = {agent["id"]: agent for agent in reply.json()["agents"]}
    for client in world.clients:
        for agent in client.agents:
            facts = shown[client.tenant].pop(agent.name, None)
            messages = transcript(client, agent.name) if facts else None
            seen = Seen(messages, facts["turns"], facts["tokens"]) if messages is not None else None
            world.record.check("agents", settle(agent, seen))
            if messages and agent.turns:
                see_whose(agent, facts["model"], client)
            for _, content in messages or ():
                world.overheard(f"the transcript of {agent.name}", content, agent.secrets)
        for agent in client.agents:
            if agent.renamed_from is not None and agent.there == agent.renamed_from.there:
                world.record.finding("wrong", f"{agent.renamed_from.name} was to be renamed {agent.name}; of both: {agent.there}")
            agent.renamed_from = None
        client.gone += [agent for agent in client.agents if agent.there == NO]
        client.agents = [agent for agent in client.agents if agent.there == YES]
    for tenant, left in shown.items():
        for name in left:
            world.record.finding("came back", f"agent {name} of tenant {tenant} had been deleted, or was never made")


def see_whose(agent, model, client):
    """One that came to be while another model was loaded is that one's: ours adopts it, reads what was said, and goes on."""
    first = agent.turns[0]
    if model == client.world.own_model:
        first.foreign = YES if first.foreign == YES else NO
        return
    first.foreign = YES
    client.call("PATCH", f"/v1/agents/{agent.name}", {"adopt": True})
    client.world.record.checks["agents adopted"] += 1


def check_conversations(world):
    for client in world.clients:
        for talk in client.conversations:
            if talk.said and talk.committed:
                world.record.check("conversations", check_conversation(talk, transcript(client, talk.home)))
            if talk.response:
                world.record.check("responses", check_response(talk, stored_response(client, talk.response)))


def stored_response(client, response):
    """Its text; None when there is no such response."""
    try:
        return text_of_response(client.call("GET", f"/v1/responses/{response}").json())
    except wire.Refused as error:
        if error.status == 404:
            return None
        raise


def check_saves(world):
    """There is room again: what could not be written is written now."""
    world.has_room_again = False
    for client in world.clients:
        for agent in client.agents:
            if not agent.turns:
                continue
            complaints = []
            reply = wire.ask(world.port, "POST", f"/v1/agents/{agent.name}/save", headers=client.key)
            # The budget may be too small for all that is pinned.
            if reply.status != 200 and b"budget" not in reply.body:
                complaints = [f"{agent.name} can't be saved, though there is room again: {reply.status} {reply.body[:300]!r}"]
            world.record.check("saves", complaints)
    cage.wait_for(lambda: quiet(world), QUIET_S)


def sizes(folder, pattern):
    return {file: file.stat().st_size for file in folder.glob(pattern) if file.is_file()}


def check_files(world):
    """What was superseded is removed in the background: it may take a moment until all is in order."""
    complaints = []

    def in_order():
        complaints[:] = file_complaints(world)
        return not complaints

    cage.wait_for(in_order, TIDY_S)
    world.record.check("files", complaints)


def file_complaints(world):
    store, now = world.home / "store", gauges(world)
    blocks = sizes(store / "blocks", "??/*.safetensors")
    complaints = []
    if sum(blocks.values()) > world.disk_budget:
        complaints.append(f"budget: {sum(blocks.values())} bytes of KV on disk, and {world.disk_budget} are allowed")
    if sum(blocks.values()) != now["engram_tier_bytes"]['tier="disk"']:
        complaints.append(f"the server counts {now['engram_tier_bytes']} bytes on disk, and there are {sum(blocks.values())}")
    if now["engram_tier_bytes"]['tier="memory"'] > now["engram_tier_budget_bytes"]['tier="memory"']:
        complaints.append(f"budget: {now['engram_tier_bytes']} in memory")
    for left in [*store.rglob("*.tmp"), *world.home.glob("passing-*")]:
        complaints.append(f"left over: {left.name}")
    quarantined = sizes(store / "quarantine", "*.safetensors")
    for file in quarantined:
        if part_of(file) not in map(part_of, world.flipped):
            complaints.append(f"corrupt: {file.name} is in quarantine, and nobody had damaged it")
    if len(quarantined) != now["engram_quarantined_parts"][""]:
        complaints.append(f"the server counts {now['engram_quarantined_parts']} parts in quarantine, and there are {len(quarantined)}")
    return complaints


def part_of(file):
    """Files of a part are "ID.KIND.safetensors" where they belong, and "ID.KIND.N.safetensors" in quarantine."""
    return ".".join(file.name.split(".")[:2])


def check_bounds(world):
    """Of the process: bounded, and at rest no more than when it was at rest first; counters only grow."""
    used, process, now = world.server.usage(), world.server.process.pid, gauges(world)
    for name, value in used.items():
        world.record.peak(name, value)
    bounds = {"resident_mib": MOST_RESIDENT_MIB, "threads": MOST_THREADS, "descriptors": MOST_DESCRIPTORS}
    complaints = [f"{name}: {used[name]}, at most {most}" for name, most in bounds.items() if used[name] > most]
    if world.earlier["process"] == process:
        if used["descriptors"] > world.earlier["descriptors"] + MORE_DESCRIPTORS:
            complaints.append(f"descriptors: {world.earlier['descriptors']} at first, {used['descriptors']} now")
        for name, series in world.earlier["counters"].items():
            for labels, value in series.items():
                if now.get(name, {}).get(labels, 0) < value:
                    complaints.append(f"the counter {name}{{{labels}}} went from {value} to {now.get(name, {}).get(labels)}")
    else:
        world.earlier.update(process=process, descriptors=used["descriptors"])
    world.earlier["counters"] = {name: series for name, series in now.items() if name.endswith("_total")}
    world.record.check("bounds", complaints)


def verify(world):
    """With the server stopped: `store verify` finds the damage that was done, and none beside it."""
    report = world.server.command_json("store", "verify", expect=(0, 4))
    complaints = [f"registry: {problem}" for problem in report["registry_problems"]]
    for message in report["messages"]:
        if not any(file.name.split(".")[0] in message for file in world.flipped):
            complaints.append(f"corrupt: {message}, and nobody had damaged it")
    quarantine = set(map(part_of, (world.home / "store" / "quarantine").glob("*")))
    noticed = 0
    for file, flips in world.flipped.items():
        noticed += part_of(file) in quarantine
        if file.exists() and still_damaged(file, flips):
            complaints.append(f"corrupt: {file.name} was damaged, and the check didn't notice")
    world.record.check("store verify", complaints)
    world.record.checks["damaged files in quarantine"] = noticed
    if report["corrupt"]:
        again = world.server.command_json("store", "verify", expect=(0, 4))
        world.record.check("store verify", [f"corrupt after quarantine: {again}"] if again["corrupt"] else [])


def still_damaged(file, flips):
    data, last = file.read_bytes(), {}
    for flip in flips:
        if flip["inode"] == os.stat(file).st_ino:
            last[flip["offset"]] = flip
    return any(offset < len(data) and data[offset] == flip["byte"] for offset, flip in last.items())
