"""In what order jobs become ready."""

from muscletransfer.study.running import Job
from muscletransfer.study.running.agenda import Agenda

BODY = "bodies:nothing"


def test_ready_jobs_stand_in_the_order_of_the_plan_whatever_ends_first():
    pretexts = [Job("slow", "pretext", (), BODY), Job("fast", "pretext", (), BODY)]
    runs = [
        Job(f"{source}{repeat}", "run", needs, BODY)
        for repeat in range(2)
        for source, needs in (("scratch", ()), ("a", ("slow",)), ("b", ("fast",)))
    ]
    agenda = Agenda({job.id: job for job in [*pretexts, *runs]})
    for name in ("slow", "fast"):
        agenda.ready.remove(name)
    agenda.finish("fast")
    agenda.finish("slow")
    assert agenda.ready == ["scratch0", "a0", "b0", "scratch1", "a1", "b1"]

    agenda.ready.remove("a0")
    agenda.lend("a0")
    agenda.take_back("a0")
    assert agenda.ready[:3] == ["scratch0", "a0", "b0"]
