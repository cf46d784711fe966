"""The methods paragraph: every setting is read from the study, none is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muscletransfer.agreement.checks import percent
from muscletransfer.observers.scores import score_of
from muscletransfer.study.report.material import Material, read_json

__all__ = ["methods", "settings_words"]


def methods(material: Material) -> list[str]:
    """Describe what was done, in paragraphs for a paper.

    Args:
        material: The study.
    """
    found = [_data(material), _networks(material), _training(material)]
    if any(source["kind"] == "pretext" for source in material.settings["sources"]):
        found.append(_pretraining(material))
    return [*found, _statistics(material)]


def settings_words(values: Mapping[str, Any]) -> str:
    """Settings as ``name = value`` in the order they have.

    Example:
        >>> settings_words({"size": 96, "hu_window": [-150, 250], "mean": None})
        'size = 96, hu_window = -150 to 250, mean = none'
    """
    return ", ".join(f"{name} = {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return f"({settings_words(value)})" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) == 2 and all(isinstance(v, int | float) for v in value):
            return f"{value[0]:g} to {value[1]:g}"
        return ", ".join(_value(item) for item in value) or "none"
    return str(value)


def _data(material: Material) -> str:
    data = material.settings["data"]
    results, analysis = material.results, material.analysis
    if material.is_synthetic:
        words = f"Synthetic cases were drawn by computer ({settings_words(data['phantom'])})."
    else:
        words = "Cases were those of a manifest"
        words += f" (rows with {settings_words(data['where'])})." if data["where"] else "."
    if analysis is not None:
        cases = results.table["case"].nunique()
        words += f" {cases} cases of {analysis.n_patients} patients were tested."
    names = data["class_names"]
    words += (
        f" The structure{'s' if len(names) > 1 else ''} segmented: {', '.join(names)}."
        f" Patients were dealt into {data['num_folds']} folds"
        + (f" by the column {data['fold_column']}" if data["fold_column"] else
           f" (seed {data['seed']})")
        + ", and every patient was tested in exactly one. Models were fine-tuned on nested subsets "
        f"of {_list(material.settings['train_patients'])} labelled patients of the other folds, "
        f"drawn {_times(material.settings['repeats'])} a fold; validation and test patients were "
        f"the same for every n. Preprocessing: {settings_words(data['preprocessing'])}. "
        f"Augmentation: {_augmentation(material)}."
    )  # fmt: skip
    if data["slices_per_patient"]:
        words += f" At most {data['slices_per_patient']} training slices a patient were used."
    return words


def _augmentation(material: Material) -> str:
    """The strengths as a run recorded them; the configuration may only say ``default``."""
    given = material.settings["data"]["augmentation"]
    for run in list(material.runs)[:1]:
        record = read_json(material.store, f"runs/{run}/provenance.json")
        strengths = record.get("data", {}).get("augmentation")
        if isinstance(strengths, Mapping):
            return f"{given if isinstance(given, str) else 'own'} ({settings_words(strengths)})"
    return _value(given)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _networks(material: Material) -> str:
    settings = material.settings
    encoders = [f"{e['name']} ({_part(e, True)})" for e in settings["encoders"]]
    decoders = [
        d["name"] + (f" ({_part(d, False)})" if d["kwargs"] else "") for d in settings["decoders"]
    ]
    sources = []
    for source in settings["sources"]:
        if source["kind"] == "random":
            start = "random weights"
        elif source["kind"] == "weights":
            start = f"the weights {source['weights']} (first convolution: {source['stem']})"
        else:
            start = f"weights of the source task {source['pretext']['task']}"
        frozen = ", the encoder never trained" if source["freeze"] == "encoder" else ""
        sources.append(f"{source['name']}: {start}{frozen}")
    return (
        f"Encoder: {_list(encoders)}. Decoder: {_list(decoders)}. Fine-tuning started from "
        f"{len(sources)} sources: {'; '.join(sources)}. Transferred was the encoder, or encoder "
        "and decoder, as each figure says."
    )


def _part(part: Mapping[str, Any], depth: bool) -> str:
    options = {"depth": part["depth"]} if depth else {}
    return settings_words({**options, **part["kwargs"]})


def _training(material: Material) -> str:
    settings = material.settings
    tuning, selection = settings["finetune"], settings["selection"]
    words = (
        f"Every model was fine-tuned for the same number of steps whatever the number of labels "
        f"({settings_words(tuning)}; AdamW). "
    )
    if selection["rule"] == "last":
        words += "The weights after the last step were tested, so no label was spent on selection."
    else:
        words += (
            f"The weights with the best validation Dice were tested, looked at every "
            f"{selection['every']} steps on {selection['validation_patients']} further labelled "
            "patients, whose labels count."
        )
    words += f" Compute: {settings_words(settings['compute'])}."
    runs = material.results.runs
    if len(runs):
        hours = runs["seconds"].sum() / 3600
        devices = _list(sorted({str(device) for device in runs["device"]}))
        words += (
            f" {len(runs)} runs took {hours:.2g} hours in all (median "
            f"{runs['seconds'].median():.3g} s each) on {devices}."
        )
    return words


def _pretraining(material: Material) -> str:
    parts, chained = [], False
    for source in material.settings["sources"]:
        task = source["pretext"]
        if task is None:
            continue
        chained = chained or bool(task["init_args"].get("weights"))
        images = [_images(one) for one in task["images"]["images"]]
        options = settings_words(task["init_args"])
        parts.append(
            f"{source['name']}: {task['task']}{f' ({options})' if options else ''}, "
            f"{task['steps']} steps of {task['batch_size']} images, learned from {_list(images)}"
            + (", anew for each repeat" if task["per_repeat"] else "")
        )
    return (
        f"Source tasks trained by the study: {'; '.join(parts)}. The test patients of a fold were "
        "left out of the images of its source tasks; where the images show no patient of the "
        "study, one pre-training served all folds."
        + (" That says nothing of what weights they started from had seen." if chained else "")
    )


def _images(one: Mapping[str, Any]) -> str:
    if one["word"] == "manifest":
        return "the study's own images without their outlines"
    if one["word"] == "other_levels":
        return "slices of other levels of the study's patients"
    if one["word"] == "phantom":
        return f"another phantom ({settings_words(one['phantom'])})"
    return str(one["path"]).rpartition("/")[2]


def _statistics(material: Material) -> str:
    analysis = material.analysis
    if analysis is None:
        return "No statistics yet: no run is finished."
    share = percent(analysis.confidence)
    human = analysis.human
    training = (
        "To each sample the deviation of other trainings (another draw of training patients, "
        "another seed) is added, drawn from the runs' deviations from the mean over repeats of a "
        "fold."
        if analysis.training_variation
        else "They hold the variation over test patients alone, not that over trainings."
    )
    words = (
        "A patient's value is the mean over repeats, cases and structures; patients are the units "
        f"of every interval and test, folds are not. Intervals of means are {share} bootstrap "
        f"intervals over patients ({analysis.resamples:,} samples, seed {analysis.seed}, expanded "
        "percentiles). Missed masks count with Dice 0 and an infinite distance and are never "
        "dropped. Sources were compared at each n by Wilcoxon's signed-rank test on the patients "
        "that both tested (Pratt's zeros), p values adjusted by Holm's rule over all pairs and n "
        "of a metric. Learning curves are fitted to mean Dice over patients (1 \u2212 a \u2212 b "
        "n^(\u2212c) with four n or more, else straight in log n), with the band of fits to the "
        f"bootstrap samples. {training} The label-saving factor is how many times the labelled "
        f"patients training from scratch ({analysis.reference}) needs for the same Dice, averaged "
        "geometrically over the Dice that both curves reach; nothing is read off beyond what was "
        "measured, there it is a bound. Agreement of muscle measures is Bland and Altman's, one "
        "repeat at a time."
    )
    if human is not None:
        score = score_of(human.metric)
        of = f", of {human.structure}" if human.structure else ""
        words += (
            f" Human level: the mean {score.name} of a model with each of {len(human.observers)} "
            f"observers minus that of two observers, on the same cases{of}; a model is as good "
            f"when the {percent(human.confidence)} interval lies within the margin of "
            f"{human.margin:g}{score.unit}, tested for each source by itself from the largest n "
            "down to the first that does not pass."
        )
    return words


def _list(items: Sequence[Any]) -> str:
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
