"""What a webcam makes of a scene: uneven light, colour cast, blur, sensor noise, JPEG."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.vision.preprocess import Frame

__all__ = ["as_seen"]

_JPEG_CHANCE: Final = 0.4


def as_seen(rng: np.random.Generator, scene: Frame, *, harshness: float = 1.0) -> Frame:
    """``scene`` as a webcam would deliver it.

    Args:
        rng: Where chance comes from.
        scene: uint8 (height, width, 3) BGR.
        harshness: 0 changes little, 1 is a bad webcam in a dim room.
    """
    frame = _blurred(rng, scene, harshness)
    frame = _lit(rng, frame, harshness)
    frame = _noisy(rng, frame, harshness)
    if rng.random() < _JPEG_CHANCE:
        quality = int(rng.integers(int(95 - 65 * harshness), 96))
        _, packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        frame = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return frame


def _blurred(rng: np.random.Generator, frame: Frame, harshness: float) -> Frame:
    """Out of focus or moved, in units of 1/256 of the height."""
    unit, kind = harshness * frame.shape[0] / 256, rng.random()
    if kind < 0.4:
        sigma = rng.exponential(1.1) * unit
        return np.asarray(cv2.GaussianBlur(frame, (0, 0), min(sigma, 3.5 * unit)), np.uint8) if sigma > 0.3 else frame
    length = rng.uniform(2, 10) * unit
    if kind > 0.7 or length < 1.5:
        return frame
    side = 2 * int(length / 2 + 1) + 1
    kernel, angle = np.zeros((side, side), np.float32), rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    ends = np.rint((side // 2 + np.stack([-reach, reach])) * 16).astype(np.int32)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), (1.0,), 1, cv2.LINE_8, 4)
    return np.asarray(cv2.filter2D(frame, -1, kernel / kernel.sum()), np.uint8)


def _lit(rng: np.random.Generator, frame: Frame, harshness: float) -> Frame:
    """Exposure, contrast, colour cast (one table per channel), and light that falls off across the picture."""
    exposure = np.exp(rng.normal(-0.05, 0.3 * harshness))
    cast = rng.normal(1, 0.08 * harshness, 3)
    gamma = np.exp(rng.normal(0, 0.2 * harshness))
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * exposure * cast * 255 + rng.uniform(0, 25) * harshness
    table = np.clip(levels, 0, 255).astype(np.uint8)[None]
    frame = np.asarray(cv2.LUT(frame, table), np.uint8)
    if rng.random() < 0.5:
        corners = rng.uniform(1 - 0.6 * harshness, 1, (2, 2)).astype(np.float32)
        light = cv2.resize(corners, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
        frame = np.asarray(cv2.blendLinear(frame, np.zeros_like(frame), light, 1 - light), np.uint8)
    return frame


def _noisy(rng: np.random.Generator, frame: Frame, harshness: float) -> Frame:
    """Sensor noise: even, up to 12 levels strong."""
    strength = rng.uniform(0, 1) ** 2 * 24 * harshness
    raw = np.frombuffer(rng.bytes(frame.size), np.uint8).reshape(frame.shape)
    share = strength / 128
    return np.asarray(cv2.addWeighted(frame, 1.0, raw, share, -127.5 * share), np.uint8)
