"""Vision-language models of a few ten thousand random weights, one per architecture, made in memory.

The processors are the ones of transformers. Those that insist on torchvision do so for videos alone;
they are built here without their video part, so that the model sees what it would see in real use.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers.models.smolvlm import processing_smolvlm

from hf_rap.engines.base import Request
from hf_rap.rows.prompts import PromptTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VOCABULARY = 320  # 256 bytes, the control tokens of the family, fillers
CONTEXT = 512
INSTRUCTION = " Answer:"

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_CHAT = CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
QWEN_CONTROLS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
IDEFICS_CHAT = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
IDEFICS_CONTROLS = (
    "<|im_start|>",
    "<|im_end|>",
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
)
LLAVA_CHAT = (
    "{% for message in messages %}{{ message['role'] | upper }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def byte_tokenizer(
    controls: Sequence[str], *, end: str, pad: str | None, begin: str | None = None, **names: str
) -> Any:
    """A tokenizer of the 256 bytes, `controls` and fillers; `begin` is put before every text.

    Bytes are not joined when tokens are decoded ("Ġ" stays "Ġ"), so that two replies with the same
    text are the same tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: id_ for id_, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(control, special=True, normalized=False) for control in controls])
    tokenizer.add_tokens([f"<unused{number}>" for number in range(VOCABULARY - tokenizer.get_vocab_size())])
    if begin is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token=pad, bos_token=begin, extra_special_tokens=names
    )


def without_video(kind: type) -> type:
    """The processor class, content with an image processor and a tokenizer."""

    def accept_any(self: Any, name: str, argument: object) -> None:
        """The stock method imports the class of the video processor, which needs torchvision."""

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": accept_any})


def randomised(model: Any, seed: int = 0) -> Any:
    """Weights large enough that every token of the prompt, and where it stands, changes the reply.

    The usual tiny initial weights give nearly equal logits: wrong positions or a wrong mask would
    then go unnoticed.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _name, weight in model.named_parameters():
            if weight.ndim >= 2:
                # Over 32 dimensions the logits then spread about 3 wide, twice as wide as the noise.
                scale = 0.5 if weight.shape[0] == VOCABULARY else 1.5 * weight[0].numel() ** -0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return model.float().eval()


def _qwen_tokenizer() -> Any:
    return byte_tokenizer(QWEN_CONTROLS, end="<|im_end|>", pad="<|endoftext|>")


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    return {key: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}


def _qwen_images() -> Any:
    return transformers.Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2, min_pixels=8 * 8, max_pixels=32 * 32
    )


def _qwen_text(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
        **more,
    }


def qwen2_vl() -> tuple[Any, Any]:
    tokenizer = _qwen_tokenizer()
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2, "patch_size": 4}
    config = transformers.Qwen2VLConfig(text_config=_qwen_text(), vision_config=vision, **_qwen_ids(tokenizer))
    processor = without_video(transformers.Qwen2VLProcessor)(_qwen_images(), tokenizer, None, QWEN_CHAT)
    return transformers.Qwen2VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> tuple[Any, Any]:
    tokenizer = _qwen_tokenizer()
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4}
    vision |= {"window_size": 16, "out_hidden_size": 32, "fullatt_block_indexes": [1]}
    config = transformers.Qwen2_5_VLConfig(text_config=_qwen_text(), vision_config=vision, **_qwen_ids(tokenizer))
    processor = without_video(transformers.Qwen2_5_VLProcessor)(_qwen_images(), tokenizer, None, QWEN_CHAT)
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen3_vision() -> dict[str, Any]:
    return {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 4,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
    }


def qwen3_vl() -> tuple[Any, Any]:
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    text = _qwen_text(head_dim=8, rope_parameters=rope)
    vision = {**_qwen3_vision(), "deepstack_visual_indexes": [0, 1]}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_ids(tokenizer))
    processor = without_video(transformers.Qwen3VLProcessor)(_qwen_images(), tokenizer, None, QWEN_CHAT)
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def qwen3_5() -> tuple[Any, Any]:
    """Linear attention in the first layer: its cache is a state, not one entry per token."""
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    text = _qwen_text(
        head_dim=8,
        rope_parameters={**rope, "partial_rotary_factor": 1.0},
        layer_types=["linear_attention", "full_attention"],
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    config = transformers.Qwen3_5Config(text_config=text, vision_config=_qwen3_vision(), **_qwen_ids(tokenizer))
    processor = without_video(transformers.Qwen3VLProcessor)(_qwen_images(), tokenizer, None, QWEN_CHAT)
    return transformers.Qwen3_5ForConditionalGeneration(config), processor


def _llama(model_type: str = "llama", **more: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        **more,
    }


def _idefics_vision() -> dict[str, Any]:
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**tower, "image_size": 16, "patch_size": 4}


def idefics3() -> tuple[Any, Any]:
    tokenizer = byte_tokenizer(IDEFICS_CONTROLS, end="<end_of_utterance>", pad="<|im_end|>")
    images = transformers.Idefics3ImageProcessorPil(size={"longest_edge": 32}, max_image_size={"longest_edge": 16})
    processor = transformers.Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=IDEFICS_CHAT)
    config = transformers.Idefics3Config(
        text_config=_llama(),
        vision_config=_idefics_vision(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return transformers.Idefics3ForConditionalGeneration(config), processor


def smolvlm() -> tuple[Any, Any]:
    tokenizer = byte_tokenizer(IDEFICS_CONTROLS, end="<end_of_utterance>", pad="<|im_end|>", begin="<|im_start|>")
    images = transformers.SmolVLMImageProcessorPil(size={"longest_edge": 32}, max_image_size={"longest_edge": 16})
    video = SimpleNamespace(num_frames=1, fps=1, model_input_names=[])
    kind = without_video(transformers.SmolVLMProcessor)
    with mock.patch.object(processing_smolvlm, "num2words", str):  # spells out the frame count of a video
        processor = kind(images, tokenizer, video, image_seq_len=4, chat_template=IDEFICS_CHAT)
    config = transformers.SmolVLMConfig(
        text_config=_llama(),
        vision_config=_idefics_vision(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return transformers.SmolVLMForConditionalGeneration(config), processor


def _llava(text: dict[str, Any], pad: str | None) -> tuple[Any, Any]:
    tokenizer = byte_tokenizer(("<s>", "</s>", "<pad>", "<image>"), end="</s>", pad=pad, begin="<s>")
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size={"height": 12, "width": 12})
    processor = transformers.LlavaProcessor(
        images,
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="default",
        chat_template=LLAVA_CHAT,
        num_additional_image_tokens=1,
    )
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlavaConfig(
        text_config=text,
        vision_config={"model_type": "clip_vision_model", **tower, "image_size": 12, "patch_size": 4},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def llava_llama() -> tuple[Any, Any]:
    return _llava(_llama(), pad="<pad>")


def llava_mistral() -> tuple[Any, Any]:
    """Every prompt of the tests is longer than the window of 24 tokens; there is no padding token."""
    return _llava(_llama("mistral", sliding_window=24), pad=None)


def internvl() -> tuple[Any, Any]:
    controls = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    names["video_token"] = "<video>"
    tokenizer = byte_tokenizer(controls, end="<|im_end|>", pad="<|endoftext|>", **names)
    images = transformers.GotOcr2ImageProcessorPil(
        size={"height": 16, "width": 16}, crop_to_patches=True, min_patches=1, max_patches=3
    )
    processor = without_video(transformers.InternVLProcessor)(
        images, tokenizer, None, image_seq_length=4, chat_template=CHATML.replace("IMAGE", "<IMG_CONTEXT>\n")
    )
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.InternVLConfig(
        text_config=_llama("qwen2"),
        vision_config={**tower, "image_size": 16, "patch_size": 4, "layer_scale_init_value": 1.0},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    return transformers.InternVLForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    """A sliding and a full layer; the tokens of an image see each other both ways."""
    controls = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
    controls += ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = byte_tokenizer(controls, end="<end_of_turn>", pad="<pad>", begin="<bos>", **names)
    images = transformers.Gemma3ImageProcessorPil(size={"height": 16, "width": 16})
    processor = transformers.Gemma3Processor(images, tokenizer, chat_template=GEMMA_CHAT, image_seq_length=4)
    text = _llama("gemma3_text", sliding_window=16, layer_types=["sliding_attention", "full_attention"])
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config={**text, "query_pre_attn_scalar": 8, "tie_word_embeddings": False},
        vision_config={"model_type": "siglip_vision_model", **tower, "image_size": 16, "patch_size": 4},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    return transformers.Gemma3ForConditionalGeneration(config), processor


def mllama() -> tuple[Any, Any]:
    """Text that looks at the pictures through a layer of its own: none of its tokens is an image's."""
    controls = ("<|begin_of_text|>", "<|end_of_text|>", "<|pad|>", "<|eot|>", "<|image|>", "<|python_tag|>")
    tokenizer = byte_tokenizer(controls, end="<|eot|>", pad="<|pad|>", begin="<|begin_of_text|>")
    images = transformers.MllamaImageProcessorPil(size={"height": 16, "width": 16}, max_image_tiles=2)
    chat = "<|begin_of_text|>" + CHATML.replace("<|im_start|>", "[").replace("<|im_end|>", "<|eot|>")
    processor = transformers.MllamaProcessor(images, tokenizer, chat_template=chat.replace("IMAGE", "<|image|>"))
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "attention_heads": 2}
    tower |= {"num_global_layers": 1, "image_size": 16, "patch_size": 4, "max_num_tiles": 2}
    tower |= {"intermediate_layers_indices": [1], "vision_output_dim": 64}
    tower |= {"supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]}
    text = {name: value for name, value in _llama().items() if name not in ("model_type", "head_dim")}
    text |= {name: tokenizer.convert_tokens_to_ids(controls[0]) for name in ("bos_token_id", "eos_token_id")}
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    config = transformers.MllamaConfig(
        text_config={**text, "num_hidden_layers": 3, "cross_attention_layers": [1], "rope_parameters": rope},
        vision_config=tower,
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    model = transformers.MllamaForConditionalGeneration(config)
    model.generation_config.eos_token_id = None  # the tokenizer's alone, as in the other families
    for name, weight in model.named_parameters():
        if "gate" in name and weight.ndim == 1:
            weight.data.fill_(1.0)  # shut at first: no picture would reach the text
    return model, processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "qwen3_5": qwen3_5,
    "smolvlm": smolvlm,
    "idefics3": idefics3,
    "llava_llama": llava_llama,
    "llava_mistral": llava_mistral,
    "internvl": internvl,
    "gemma3": gemma3,
    "mllama": mllama,
}


@cache
def build(family: str) -> tuple[Any, Any]:
    """The model and the processor of an architecture, made once per test run."""
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    return randomised(model), processor


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Random pixels: no two pictures look alike to a model."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ask(row_id: str, question: str, *images: Image.Image, attempts: int = 3, arm: str = "image") -> Request:
    """A request as the library builds them, with a short instruction."""
    messages = PromptTemplate(suffix=INSTRUCTION).messages(question, with_images=bool(images))
    return Request(row_id=row_id, arm=arm, messages=messages, images=images, attempts=attempts)
