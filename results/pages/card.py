"""The Hugging Face model card of one model: front matter with a model index, made and read by ``huggingface_hub``."""

from __future__ import annotations

from collections.abc import Sequence

from results.entries import Entry
from results.metadata import Matched, Model
from results.pages.build import Summaries
from results.pages.markdown import escape, fenced, link_target, part_to_markdown
from results.pages.twins import results_of
from results.pages.zoo import ZooPage, build_zoo_page


def model_card(zoo: ZooPage, model: Model, label: str, entries: Sequence[Entry], summary: Summaries) -> str:
    """The card of one model that has results here.

    Args:
        zoo: The page of its algorithm.
        model: What the metadata says of it.
        label: Its label.
        entries: Jobs of any labels.
        summary: What :func:`results.table.summarise_cells` says of them.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=each.task.hub_task,
            task_name=each.task.name,
            dataset_type=each.task.hub_dataset,
            dataset_name=each.task.dataset,
            dataset_config=each.benchmark,
            metric_type=each.task.hub_metric,
            metric_name=each.title,
            metric_value=each.value,
            metric_config=each.protocol,
        )
        for each in results_of(entries, label, summary)
    ]
    algorithm = zoo.algorithm
    data = ModelCardData(
        # A model index without results is refused by the hub's own reader.
        model_name=model.name if results else None,
        eval_results=results or None,
        license=algorithm.license,
        library_name="pytorch",
        pipeline_tag="image-feature-extraction",
        tags=["self-supervised-learning", "resnet-50", "transfer"],
    )
    alone = algorithm.model_copy(update={"models": [model]})
    page = build_zoo_page(alone, Matched({model.name: label}, ()), entries, summary).page
    parts = [f"---\n{data.to_yaml()}\n---", f"# {escape(model.name)}"]
    if algorithm.paper is not None:
        parts.append(f"{escape(algorithm.name)}: [{escape(algorithm.paper.title)}]({link_target(algorithm.paper.url)})")
    facts = [("Backbone", model.backbone), ("Epochs", model.epochs), ("Batch size", model.batch_size)]
    parts.append("\n".join(f"- {name}: {escape(str(fact))}" for name, fact in facts if fact is not None))
    links = [f"[{title}]({link_target(link)})" for title, link in model.shown()]
    parts += [" | ".join(links)] if links else []
    parts += ["## Results", (part_to_markdown(page, "results") or "").strip()]
    parts += ["## How these numbers were made", (part_to_markdown(page, "provenance") or "").strip()]
    if algorithm.citation:
        parts += ["## Citation", fenced(algorithm.citation, "bibtex")]
    return "\n\n".join(parts) + "\n"
