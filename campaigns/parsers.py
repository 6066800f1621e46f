"""Every reader of data from outside, and which files it reads.

Leaves out: the examples (`examples`), and making them invalid (`mutations`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from studies import FILES

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Parser:
    """A reader of outside data.

    Attributes:
        files: file in its example folder -> what kind it is (`mutations.mutated`).
        read: reads the folder.
        share: of all inputs, beside the others'.
    """

    files: dict[str, str]
    read: Read
    share: float = 1.0


def _rows(name: str) -> Read:
    def read(folder: Path) -> None:
        from whyfirst.data.rows import read_rows

        read_rows(folder / name)

    return read


def _data(module: str, function: str, name: str = "") -> Read:
    def read(folder: Path) -> None:
        from importlib import import_module

        getattr(import_module(f"whyfirst.{module}"), function)(folder / name)

    return read


def _study(name: str) -> Read:
    def read(folder: Path) -> None:
        from whyfirst.study.plan import build_plan
        from whyfirst.study.reading import refuse_unusable

        plan = build_plan(folder / f"{name}.yaml")
        refuse_unusable(plan)

    return read


def _local(folder: Path) -> None:
    from whyfirst.models.base import Sampling, asked
    from whyfirst.models.local import LocalModel

    adapter = folder / "adapter"
    model = LocalModel(folder / "model", device="cpu",
                       adapter=str(adapter) if adapter.is_dir() else None)  # fmt: skip
    model.generate([asked("hi")], sampling=Sampling(max_new_tokens=2))
    model.loglikelihood([("a", [" b"])])


def _template(folder: Path) -> None:
    from whyfirst.models.base import Message
    from whyfirst.models.chat import choose
    from whyfirst.models.loading import open_tokenizer

    found = choose(open_tokenizer([folder / "model"]), str(folder / "own.jinja"))
    found.render((Message("user", "hi"),))


def _gguf(folder: Path) -> None:
    from whyfirst.models.gguf_file import converted

    converted(folder / "m.gguf")


def _endpoint(folder: Path) -> None:
    from whyfirst.models.base import asked
    from whyfirst.models.endpoint import EndpointModel
    from whyfirst.models.endpoint_client import Limits

    body = (folder / "reply.json").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        model = EndpointModel(url, "m", store=folder / "replies.jsonl",
                              limits=Limits(timeout=2.0, deadline=3.0, pause=0.01))  # fmt: skip
        model.generate([asked("hi")])
        model.loglikelihood([("a", [" b"])])
        server.shutdown()


def _replies(folder: Path) -> None:
    from whyfirst.evaluate.judges import JUDGES, Pair
    from whyfirst.models.base import Completion
    from whyfirst.models.said import said
    from whyfirst.models.scripted import ScriptedModel

    text = (folder / "reply.txt").read_text(encoding="utf-8", errors="surrogateescape")
    said(text)
    pair = Pair("p", "hi", Completion(text, True), Completion("b", True))
    for name in ("pairwise", "auto_j", "scored", "href"):
        model = ScriptedModel(lambda asked: text, lambda asked, answer: -1.0)
        JUDGES.make(name, model=model).compare([pair])


def _store(folder: Path) -> None:
    from whyfirst.study.execute.store import Store
    from whyfirst.study.execute.upkeep import studies

    store = Store(folder / "store")
    for marker in sorted(store.root.glob("[!a.]*/*/COMPLETE.json")):
        store.check(marker.parent.parent.name, marker.parent.name)
        store.incomplete(marker.parent.parent.name, marker.parent.name)
    list(studies(store))


def _finished(folder: Path) -> None:
    from whyfirst.report.schema import load_results
    from whyfirst.study.running import noted_run

    load_results(folder / "report" / "results.json")
    noted_run(folder)


def _benchmark(name: str) -> Read:
    def read(folder: Path) -> None:
        from whyfirst.evaluate.benchmark import benchmark_named

        benchmark_named(name).task(data=str(folder / name))

    return read


def _plan(folder: Path) -> None:
    from whyfirst.constitution import load_constitution
    from whyfirst.explain.plan import load_plan

    load_plan(folder / "plan", load_constitution("hhh"))


def _kind(name: str) -> str:
    """What a file is, by its ending."""
    ending = name.rpartition(".")[2]
    return ending if ending in ("json", "jsonl", "yaml", "csv") else "text"


def with_benchmarks() -> dict[str, Parser]:
    """`PARSERS`, and the reader of every benchmark and audit that says what its data look like."""
    from whyfirst.evaluate.benchmark import all_benchmarks

    more = {
        f"benchmark {b.name}": Parser({f"{b.name}/{f}": _kind(f) for f in b.example},
                                      _benchmark(b.name), 0.5)
        for b in all_benchmarks() if b.example
    }  # fmt: skip
    return PARSERS | more


def _readings(folder: Path) -> None:
    from whyfirst.data.readings import read_readings

    read_readings(str(folder / "r.yaml"))


def _markdown(folder: Path) -> None:
    from whyfirst.explain.importer import import_markdown, skeleton_yaml

    skeleton_yaml(import_markdown(folder / "v.md", "v"), "v.md")


LEVELS = ("domains", "subdomains", "ideas", "types", "assertions")
PARSERS: dict[str, Parser] = {
    **{f"study {name}": Parser({f"{name}.yaml": "yaml"}, _study(name), 2.0) for name in FILES},
    "study's rows": Parser({"texts.jsonl": "jsonl", "pairs.jsonl": "jsonl"}, _study("endpoint")),
    "constitution": Parser(
        {"c.yaml": "yaml"}, _data("constitution", "load_constitution", "c.yaml"), 2.0
    ),
    **{f"rows {kind}": Parser({f"r.{kind}": kind if kind != "parquet" else "binary"},
                              _rows(f"r.{kind}"), 2.0)
       for kind in ("jsonl", "json", "csv", "parquet")},
    "rows gz": Parser({"r.jsonl.gz": "binary"}, _rows("r.jsonl.gz")),
    "hh-rlhf": Parser({"hh/hh.jsonl": "jsonl"}, _data("data.hh_rlhf", "read_hh", "hh")),
    "truthfulqa": Parser({"TruthfulQA.csv": "csv"}, _data("data.truthfulqa", "read_truthfulqa")),
    "xstest": Parser({"xstest_prompts.csv": "csv"}, _data("data.xstest", "read_xstest")),
    "bold": Parser({"a_prompt.json": "json"}, _data("data.bold", "read_bold")),
    "hhh": Parser({"438HHHEvaluations.jsonl": "jsonl"}, _data("data.hhh", "read_hhh")),
    "behaviours": Parser({"advbench.csv": "csv"}, _data("data.behaviours", "read_behaviours")),
    "templates": Parser(
        {"jailbreaks.csv": "csv"}, _data("data.jailbreak_templates", "read_templates")
    ),
    "ailuminate": Parser({"mlc-a-en.json": "json"}, _data("data.ailuminate", "read_ailuminate")),
    "readings": Parser({"r.yaml": "yaml"}, _readings),
    "markdown": Parser({"v.md": "text"}, _markdown),
    "plan of documents": Parser({f"plan/{name}.yaml": "yaml" for name in LEVELS}, _plan, 2.0),
    "probe pairs": Parser({"p.jsonl": "jsonl"}, _data("probe.pairs", "read_pairs", "p.jsonl")),
    "requests": Parser({"q.jsonl": "jsonl"}, _data("probe.pairs", "read_requests", "q.jsonl")),
    "model": Parser(
        {f"model/{name}": "json" for name in ("config.json", "generation_config.json",
         "tokenizer_config.json", "tokenizer.json")}, _local, 3.0),
    "weights": Parser({"model/model.safetensors": "binary"}, _local),
    "adapter": Parser({"adapter/adapter_config.json": "json",
                       "adapter/adapter_model.safetensors": "binary"}, _local, 2.0),
    "chat template": Parser({"own.jinja": "text"}, _template),
    "gguf": Parser({"m.gguf": "binary"}, _gguf, 2.0),
    "lm-eval": Parser({"results_2026-11-21T10-00-00.123456.json": "json",
                       "samples_quiz_2026-11-21T10-00-00.123456.jsonl": "jsonl"},
                      _data("interop.reading", "read_any",
                            "results_2026-11-21T10-00-00.123456.json"), 2.0),
    "Inspect log": Parser({"log.json": "json"}, _data("interop.reading", "read_any", "log.json")),
    "endpoint's reply": Parser({"reply.json": "json", "replies.jsonl": "jsonl"}, _endpoint, 2.0),
    "judge's reply": Parser({"reply.txt": "text"}, _replies, 2.0),
    "registration": Parser(
        {"s.registration.json": "json"},
        _data("study.register", "read_registration", "s.registration.json")),
    "results": Parser({"report/results.json": "json", "run.json": "json"}, _finished, 2.0),
    "store": Parser({"store/STORE.json": "json",
                     "store/base/0123456789abcdef/COMPLETE.json": "json",
                     "store/studies/x-0.json": "json"}, _store, 2.0),
}  # fmt: skip
