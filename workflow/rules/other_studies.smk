"""Input functions of what a study has of others: tiles to train on, and encoders to be tested with; no rules."""

from pathlib import Path

from phenoloom.config.transfer import has_encoder


def get_others(wildcards):
    """The other studies that the model is trained on."""
    entry = STUDIES[wildcards.study].trained_as(wildcards.model)
    return sorted(set(entry.trained_on) - {wildcards.study}) if entry else []


def get_other_tables(wildcards):
    """Their indexes and folds, which training reads; that they changed is told by their manifests."""
    return [
        f"{RESULTS}/{other}/{name}.parquet"
        for other in get_others(wildcards)
        for name in ("index", "folds")
    ]


def get_other_manifests(wildcards):
    """The manifests of their folds, which came from their indexes, and stores of the model's view."""
    view = get_model(wildcards.study, wildcards.model).view
    return [
        path
        for other in get_others(wildcards)
        for path in (
            f"{RESULTS}/{other}/folds.json",
            *get_unindexed(other, view),
        )
    ]


def get_also(wildcards):
    """Arguments that tell the command of the other studies."""
    view = get_model(wildcards.study, wildcards.model).view
    return [
        argument
        for other in get_others(wildcards)
        for argument in (
            "--also",
            other,
            f"{RESULTS}/{other}/index.parquet",
            f"{RESULTS}/{other}/folds.parquet",
            get_view_folder(other, view),
        )
    ]


def get_transfer_embed_input(wildcards):
    """What an encoder of the source makes the vectors of this study's rows from: parts, or the model and tiles."""
    study, source, split = wildcards.study, wildcards.source, wildcards.split
    entry = STUDIES[source].representations[wildcards.representation]
    if entry.concatenate:
        return {
            "parts": [
                path
                for part in entry.concatenate
                for path in get_transfer_embeddings(study, source, part)
                if Path(path).stem in ("all", split)
            ]
        }
    view = SETTINGS[study].transfer_embed(source, wildcards.representation, split).view
    folder = f"{RESULTS}/{source}/models/{entry.encoder}/{split}"
    return {
        "stores": get_unindexed(study, view),
        "weights": f"{folder}/model.safetensors",
        "model": f"{folder}/model.yaml",
    }


def get_transfer_embeddings(study, source, representation):
    """Vectors of a study's rows as the source's encoders make them, a table a split; descriptors are the study's own."""
    if not has_encoder(representation, STUDIES[source]):
        return get_embeddings(study, representation)
    folder = f"{RESULTS}/{study}/transfer/{source}/embeddings/{representation}"
    return [
        f"{folder}/{split}.parquet" for split in splits(STUDIES[source], representation)
    ]
