"""Stage `evaluate`: how good the network is on test, in tables and pictures."""

from stages.layout import EVALUATION, MODEL, PARAMS, ParamsFile, shard_folder


def evaluate(params: ParamsFile = PARAMS) -> None:
    """Judge the network on test. Reads data/SOURCE/shards and data/model, writes data/evaluation.

    Writes metrics.json (eight headline numbers), attributes.csv, regions.csv, radar.json,
    predictions.parquet (a probability an image and attribute) and pictures.
    """
    from pipeline import metrics, plots, predictions
    from pipeline.atomic import new_directory, write_csv, write_json
    from pipeline.inference import choose_device, model_order, predict_logits
    from pipeline.loader import ShardReader
    from pipeline.model import load_model
    from pipeline.params import load_params
    from pipeline.radar import draw_radar
    from pipeline.statistics import prevalence

    settings = load_params(params)
    shards = shard_folder(settings.data.source)
    model, _ = load_model(MODEL)
    device = choose_device(settings.train.device)
    with ShardReader(shards, "train") as train, ShardReader(shards, "test") as test:
        train_rates = prevalence(model_order(train.labels))
        logits = predict_logits(model, test, settings.evaluate.batch_size, device)
        truth = model_order(test.labels)
    threshold = settings.evaluate.threshold
    headline = metrics.headline(logits, truth, train_rates, threshold)
    rows = metrics.attribute_rows(logits, truth, train_rates, threshold)
    regions = metrics.region_rows(rows)
    radar = metrics.radar_rows(rows)
    with new_directory(EVALUATION) as partial:
        write_json(partial / "metrics.json", headline)
        write_csv(partial / "attributes.csv", rows)
        write_csv(partial / "regions.csv", regions)
        write_json(partial / "radar.json", radar)
        predictions.write(
            partial / "predictions.parquet", test.keys, test.celeb_id, metrics.sigmoid(logits)
        )
        draw_radar(radar, partial / "radar.svg", partial / "radar.png")
        plots.draw_attribute_bars(radar, partial / "attributes.png")
    print(f"{EVALUATION}: {len(truth):,} test images")
    for row in regions:
        print(
            f"  {row['region']:16} accuracy {row['accuracy']:.2%},"
            f" baseline {row['baseline_accuracy']:.2%}"
        )
    shown = ", ".join(
        f"{name.replace('_', ' ')} {value:.4f}" if value is not None else f"{name} undefined"
        for name, value in headline.items()
    )
    print(f"  {shown}")
