// CartPole in the page: the equations and limits of gymnasium's CartPole-v1 (Barto, Sutton and Anderson 1983).

const GRAVITY = 9.8
const CART = 1.0 // kg
const POLE = 0.1
const HALF = 0.5 // m, half of the pole's length
const FORCE = 10.0 // N
const SECONDS = 0.02 // of a step
const EDGE = 2.4 // m
const FALL = (12 * 2 * Math.PI) / 360
const LONGEST = 500 // steps

export const STEP_MS = 1000 * SECONDS

export class CartPole {
  constructor() {
    const small = () => (Math.random() - 0.5) / 10
    this.state = [small(), small(), small(), small()] // position, speed, angle, spin
    this.steps = 0
    this.over = false
  }

  /** action: 0 pushes left, 1 right. */
  step(action) {
    let [x, speed, angle, spin] = this.state
    const push = action === 1 ? FORCE : -FORCE
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
    const all = CART + POLE
    const moved = (push + POLE * HALF * spin * spin * sin) / all
    const turned = (GRAVITY * sin - cos * moved) / (HALF * (4 / 3 - (POLE * cos * cos) / all))
    const driven = moved - (POLE * HALF * turned * cos) / all
    x += SECONDS * speed
    speed += SECONDS * driven
    angle += SECONDS * spin
    spin += SECONDS * turned
    this.state = [x, speed, angle, spin]
    this.steps += 1
    this.fell = Math.abs(x) > EDGE || Math.abs(angle) > FALL
    this.over = this.fell || this.steps >= LONGEST
  }

  draw(canvas) {
    const { width, height } = canvas
    const scale = width / (2 * EDGE)
    const [x, , angle] = this.state
    const [middle, track] = [width / 2 + x * scale, height * 0.75]
    const pen = canvas.getContext('2d')
    pen.fillStyle = '#fff'
    pen.fillRect(0, 0, width, height)
    pen.strokeStyle = '#000'
    pen.beginPath()
    pen.moveTo(0, track)
    pen.lineTo(width, track)
    pen.stroke()
    pen.fillStyle = '#000'
    pen.fillRect(middle - 25, track - 15, 50, 30)
    pen.save()
    pen.translate(middle, track - 8)
    pen.rotate(angle)
    pen.fillStyle = '#ca9865'
    pen.fillRect(-5, -2 * HALF * scale, 10, 2 * HALF * scale)
    pen.restore()
    pen.fillStyle = '#8184cb'
    pen.beginPath()
    pen.arc(middle, track - 8, 5, 0, 2 * Math.PI)
    pen.fill()
  }
}
