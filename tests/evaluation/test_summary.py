"""The screen of an evaluation."""

from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.summary import summary
from tests.support.predicted import found, settings


def test_the_screen_says_what_the_tables_say():
    result = evaluate(found(), settings())
    text = summary(result)
    assert text.startswith("800 images of test\n")
    assert f"{result.metrics['accuracy']:.2%}" in text
    gap = result.gaps[0]
    assert f"{gap['attribute']}: {gap['metric']} {gap['value']:.2%} of {gap['of']:,}" in text
    assert "found less than once in ten times: Bald\n" in text
    mistake = result.mistakes[0]
    assert f"{mistake['attribute']} of {mistake['key']}" in text
    assert len(text.splitlines()) < 42 and max(map(len, text.splitlines())) <= 120
