"""A file of another tool's results, whichever tool made it: Inspect's logs, lm-eval's results.

Leaves out: joining what was read to a study's results (study/results/imported.py).
"""

from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json
from whyfirst.interop.inspect_log import read_log
from whyfirst.interop.lm_eval import read_results
from whyfirst.study.results.imported import Import


def read_any(path: Path) -> tuple[list[Import], dict[str, str]]:
    """What a file of another tool holds, and the metrics left out with their reasons.

    Raises:
        DataError: neither an Inspect log nor lm-eval's results, or nothing in it can be taken.
        UserError: an Inspect log, and the extra is not installed.
    """
    if path.is_file() and path.suffix == ".json":
        # lm-eval writes NaN; such a metric is left out and named.
        data = read_json(path, nan=True)
        if isinstance(data, dict) and isinstance(data.get("results"), dict) and "configs" in data:
            try:
                return read_results(path, data)
            except (KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}: not laid out as lm-eval 0.4's ({error!r})") from None
        if not (isinstance(data, dict) and {"eval", "status"} <= set(data)):
            raise DataError(
                f"{path}: neither lm-eval's results (with 'results' and 'configs') nor an Inspect "
                "log (with 'eval' and 'status')"
            )
    elif path.suffix != ".eval":
        raise DataError(f"{path}: give an Inspect log (.eval or .json) or lm-eval's results_*.json")
    return read_log(path)
