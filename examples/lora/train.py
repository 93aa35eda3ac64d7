"""Fine-tunes a LoRA adapter on the records that a Datanet ticket has released.

    python train.py --data data --base Qwen/Qwen2.5-0.5B --out adapter

Needs torch, transformers, datasets and peft. The folder that it writes is what `datanet model register --artifact` takes:
adapter_config.json and adapter_model.safetensors, without checkpoints.
"""

import argparse
import glob
import hashlib
import json
import os

from datasets import Dataset
from huggingface_hub import snapshot_download
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForLanguageModeling, Trainer, TrainingArguments


def records(folder):
    """Yields the texts of all JSON Lines of `datanet ticket download`, in their order."""
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                yield {"text": json.loads(line)["text"]}


def digest(folder):
    """SHA-256 of the list of the base model's files and their digests: what --base-digest records."""
    listed = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            whole = hashlib.sha256()
            with open(path, "rb") as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    whole.update(piece)
            listed.append(f"{whole.hexdigest()}  {os.path.relpath(path, folder).replace(os.sep, '/')}\n")
    return hashlib.sha256("".join(sorted(listed)).encode()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of ticket download")
    parser.add_argument("--base", required=True, help="the base model on Hugging Face, as Qwen/Qwen2.5-0.5B")
    parser.add_argument("--out", required=True, help="the folder for the adapter")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--length", type=int, default=512, help="tokens of an example")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    base = snapshot_download(options.base, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"])
    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(base, torch_dtype="auto")
    model = get_peft_model(model, LoraConfig(r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM"))
    # What the registration tells as the base is its name, not a folder of this machine.
    model.peft_config["default"].base_model_name_or_path = options.base
    model.print_trainable_parameters()

    def tokenized(batch):
        return tokenizer([text + tokenizer.eos_token for text in batch["text"]], truncation=True, max_length=options.length)

    examples = Dataset.from_generator(records, gen_kwargs={"folder": options.data}).map(tokenized, batched=True, remove_columns=["text"])
    trainer = Trainer(
        model=model,
        args=TrainingArguments(output_dir=options.out + "-checkpoints", num_train_epochs=options.epochs, per_device_train_batch_size=8,
                               learning_rate=2e-4, warmup_ratio=0.03, lr_scheduler_type="cosine", logging_steps=10, save_strategy="epoch",
                               seed=options.seed, report_to=[]),
        train_dataset=examples,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
    )
    trainer.train()
    model.save_pretrained(options.out, safe_serialization=True)
    print("--base-digest", digest(base))


if __name__ == "__main__":
    main()
