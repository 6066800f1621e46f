"""Methods in one word, as a command line takes them."""

import pytest

from whyfirst.config.errors import UserError
from whyfirst.evaluate.short import use_with_options
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.edits import EDITS


def test_a_value_with_commas_is_cut() -> None:
    use = use_with_options(EDITS, "heads,weights=[0.5, 0.5]")
    assert use.name == "heads" and use.options == {"weights": [0.5, 0.5]}


def test_options_are_not_read_as_in_a_file() -> None:
    use = use_with_options(DECODINGS, "best_of_n, n=3, by=random, temperature=0.5")
    assert use.options == {"n": 3, "by": "random", "temperature": 0.5}
    assert use_with_options(DECODINGS, "best_of_n").options == {}
    with pytest.raises(UserError, match="best_of_n"):
        use_with_options(DECODINGS, "best_of,n=3")
    with pytest.raises(UserError, match="not a value"):
        use_with_options(DECODINGS, "best_of_n,n=[3")
    # The last one counted, in silence; and `name` made it another method.
    with pytest.raises(UserError, match="'n' is given twice"):
        use_with_options(DECODINGS, "best_of_n,n=3,n=4")
    with pytest.raises(UserError, match="'name' is no option"):
        use_with_options(DECODINGS, "best_of_n,name=rps")
