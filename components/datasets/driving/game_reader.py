"""CarRacing that draws a frame only when asked, and only what lies on the screen: equal pixels, several times sooner.

gymnasium's own step draws every frame, and transforms every polygon of the track for it. A policy that holds its action
for four frames looks at one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pygame
from gymnasium.envs.box2d.car_racing import (
    GRASS_DIM,
    PLAYFIELD,
    SCALE,
    STATE_H,
    STATE_W,
    VIDEO_H,
    VIDEO_W,
    WINDOW_H,
    WINDOW_W,
    ZOOM,
    CarRacing,
)

from components.errors import UserError

if TYPE_CHECKING:
    from components.datasets.environments.reader import Environment

GAME = "CarRacing-v3"

FONT_SIZE = 42
GRASS = [
    [(GRASS_DIM * (x + right), GRASS_DIM * (y + up)) for right, up in ((1, 0), (0, 0), (0, 1), (1, 1))]
    for x in range(-20, 20, 2)
    for y in range(-20, 20, 2)
]
"""The patches of lighter grass, in gymnasium's order."""


class Racing(CarRacing):
    """A CarRacing whose `state` stays None: `frame` draws it. It is otherwise gymnasium's own."""

    car: Any
    surf: Any

    def __init__(self, max_frames: int) -> None:
        """max_frames: after which an episode ends."""
        super().__init__()
        self.frames, self.max_frames = 0, max_frames
        self._shown = 0.0
        self._surface: pygame.Surface | None = None
        self._font: pygame.font.Font | None = None
        self._circles: np.ndarray | None = None

    def start(self, seed: int) -> None:
        """Begins an episode on the track of `seed`."""
        self.frames, self._circles = 0, None
        self.reset(seed=seed)

    def hold(self, action: np.ndarray, frames: int) -> tuple[float, bool]:
        """Takes `action` (3,) for up to `frames` frames; returns the reward, and whether the episode is over."""
        reward, over = 0.0, False
        for _ in range(frames):
            _, step_reward, terminated, _, _ = self.step(action)
            self.frames += 1
            reward += float(step_reward)
            over = bool(terminated) or self.frames >= self.max_frames
            if over:
                break
        return reward, over

    def frame(self) -> np.ndarray:
        """(96, 96, 3) uint8: the observation that gymnasium would give now."""
        self._draw()
        return self._scaled(STATE_W, STATE_H)

    def picture(self) -> np.ndarray:
        """(400, 600, 3) uint8: this moment for people."""
        self._draw()
        return self._scaled(VIDEO_W, VIDEO_H)

    def frame_and_picture(self) -> tuple[np.ndarray, np.ndarray]:
        """What `frame` and `picture` return, drawn once."""
        self._draw()
        return self._scaled(STATE_W, STATE_H), self._scaled(VIDEO_W, VIDEO_H)

    def _scaled(self, width: int, height: int) -> np.ndarray:
        theirs: Any = self  # whose methods carry no types
        found: np.ndarray = theirs._create_image_array(self.surf, (width, height))
        return found

    def _draw(self) -> None:
        """Draws this moment at full size. The order of drawing is gymnasium's."""
        car = self.car
        if self._surface is None or self._font is None:
            pygame.font.init()
            self._surface = pygame.Surface((WINDOW_W, WINDOW_H))
            self._font = pygame.font.Font(pygame.font.get_default_font(), FONT_SIZE)
        angle = -car.hull.angle
        zoom = 0.1 * SCALE * max(1 - self.t, 0) + ZOOM * SCALE * min(self.t, 1)
        scroll = pygame.math.Vector2((-car.hull.position[0] * zoom, -car.hull.position[1] * zoom)).rotate_rad(angle)
        middle = (WINDOW_W / 2 + scroll[0], WINDOW_H / 4 + scroll[1])
        self.surf = self._surface
        self._draw_ground(zoom, middle, angle)
        car.draw(self.surf, zoom, middle, angle, False)
        self.surf = pygame.transform.flip(self.surf, False, True)
        theirs: Any = self  # whose methods carry no types
        theirs._render_indicators(WINDOW_W, WINDOW_H)
        text = self._font.render(f"{self._shown:04.0f}", True, (255, 255, 255), (0, 0, 0))
        place = text.get_rect()
        place.center = (60, WINDOW_H - WINDOW_H * 2.5 / 40.0)
        self.surf.blit(text, place)

    def _render(self, mode: str) -> None:
        """Called by gymnasium's step: draws nothing, but the frame would show the return so far, without this step."""
        self._shown = self.reward

    def _draw_ground(self, zoom: float, middle: tuple[float, float], angle: float) -> None:
        draw: Any = self._draw_colored_polygon
        reach = float(np.hypot(WINDOW_W / 2, 3 * WINDOW_H / 4)) / zoom
        x, y = self.car.hull.position
        if max(abs(x), abs(y)) + reach < PLAYFIELD - 1:  # the field fills the screen
            self.surf.fill([int(value) for value in self.bg_color])
        else:
            self.surf.fill((0, 0, 0))
            field = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
            draw(self.surf, field, self.bg_color, zoom, middle, angle, clip=False)
        for index in self._on_screen(zoom, angle):
            poly, color = (GRASS[index], self.grass_color) if index < len(GRASS) else self.road_poly[index - len(GRASS)]
            points = [(point[0], point[1]) for point in poly]
            draw(self.surf, points, [int(value) for value in color], zoom, middle, angle)

    def _on_screen(self, zoom: float, angle: float) -> np.ndarray:
        """Indices of the polygons, grass first and then road, whose circle touches the screen."""
        if self._circles is None:
            corners = np.array(GRASS + [poly for poly, _ in self.road_poly], float)
            centres = corners.mean(axis=1)
            radii = np.hypot(*(corners - centres[:, None]).transpose(2, 0, 1)).max(axis=1)
            self._circles = np.concatenate([centres, radii[:, None]], axis=1)
        offsets = self._circles[:, :2] - np.array(self.car.hull.position)
        right = offsets[:, 0] * np.cos(angle) - offsets[:, 1] * np.sin(angle)
        up = offsets[:, 0] * np.sin(angle) + offsets[:, 1] * np.cos(angle)
        margin = self._circles[:, 2] + 2 / zoom
        seen = (
            (np.abs(right) <= WINDOW_W / 2 / zoom + margin)
            & (up <= 3 * WINDOW_H / 4 / zoom + margin)
            & (up >= -WINDOW_H / 4 / zoom - margin)
        )
        return np.flatnonzero(seen)


def racing(environment: Environment) -> Racing:
    """The game of a prepared dataset. Raises UserError where the dataset is another game, or is wrapped."""
    if environment.id != GAME or environment.wrappers or set(environment.options) - {"max_episode_steps"}:
        raise UserError(
            f"{environment.name} is learnt in {GAME}, without options and wrappers that change what is seen"
        )
    if environment.max_steps is None:
        raise UserError(f"{environment.name} has no time limit: a lap that is never finished would never end")
    return Racing(environment.max_steps)
