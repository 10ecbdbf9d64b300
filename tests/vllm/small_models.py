"""Models of random weights in a folder, with heads as wide as vLLM's kernels want them."""

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_CHAT = CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_CONTROLS = (*CONTROLS, "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
VOCABULARY = 320
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 1024,
}


def tokenizer_of(controls, **named):
    """Of the 256 bytes; `named` are control tokens that a processor asks for by name."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(control, special=True, normalized=False) for control in controls])
    made.add_tokens([f"<unused{number}>" for number in range(VOCABULARY - made.get_vocab_size())])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=1024, **named
    )


def _save(folder, config, processor):
    torch.manual_seed(0)
    model = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:  # so large that every token of the prompt changes the reply
                weight.normal_(std=0.5 if weight.shape[0] == VOCABULARY else 1.2 * weight[0].numel() ** -0.5)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _qwen_ids(tokenizer):
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    return {key: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}


def qwen2_5_vl(folder):
    """Qwen2.5-VL."""
    tokenizer = tokenizer_of(QWEN_CONTROLS)
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}
    vision = {"depth": 2, "hidden_size": 64, "intermediate_size": 96, "num_heads": 2, "out_hidden_size": 128}
    config = transformers.Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config={**vision, "fullatt_block_indexes": [1]},
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    images = transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=112 * 112)
    videos = transformers.Qwen2VLVideoProcessor()
    _save(folder, config, transformers.Qwen2_5_VLProcessor(images, tokenizer, videos, chat_template=QWEN_CHAT))


def qwen2_vl(folder):
    """Qwen2-VL."""
    tokenizer = tokenizer_of(QWEN_CONTROLS)
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}
    config = transformers.Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config={"depth": 2, "embed_dim": 64, "hidden_size": 128, "num_heads": 2, "mlp_ratio": 2},
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    images = transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=112 * 112)
    videos = transformers.Qwen2VLVideoProcessor()
    _save(folder, config, transformers.Qwen2VLProcessor(images, tokenizer, videos, chat_template=QWEN_CHAT))


def qwen3_vl(folder):
    """Qwen3-VL."""
    tokenizer = tokenizer_of(QWEN_CONTROLS)
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
    vision = {"depth": 3, "hidden_size": 64, "intermediate_size": 96, "num_heads": 2, "out_hidden_size": 128}
    config = transformers.Qwen3VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config={**vision, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64},
        tie_word_embeddings=False,
        **_qwen_ids(tokenizer),
    )
    images = transformers.Qwen2VLImageProcessor(
        patch_size=16,
        size={"shortest_edge": 64 * 64, "longest_edge": 128 * 128},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    videos = transformers.Qwen3VLVideoProcessor()
    _save(folder, config, transformers.Qwen3VLProcessor(images, tokenizer, videos, chat_template=QWEN_CHAT))


def internvl(folder):
    """InternVL as transformers has it (`...-hf` on the Hub): a picture is cut into one to three tiles and seen whole besides."""
    controls = (*CONTROLS, "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    tokenizer = tokenizer_of(
        controls,
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    images = transformers.GotOcr2ImageProcessor(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=3
    )
    videos = transformers.InternVLVideoProcessor(size={"height": 32, "width": 32})
    tower = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.InternVLConfig(
        text_config={
            **TEXT,
            "model_type": "qwen2",
            "architectures": ["Qwen2ForCausalLM"],
            "tie_word_embeddings": False,
        },
        vision_config={**tower, "image_size": 32, "patch_size": 8, "layer_scale_init_value": 1.0},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,  # 4 x 4 patches of a tile, of which four become one token
        tie_word_embeddings=False,
    )
    chat = CHAT.replace("IMAGE", "<IMG_CONTEXT>\n")
    processor = transformers.InternVLProcessor(images, tokenizer, videos, image_seq_length=4, chat_template=chat)
    _save(folder, config, processor)


MODELS = {"qwen2_vl": qwen2_vl, "qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl, "internvl": internvl}
