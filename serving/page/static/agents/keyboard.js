// The arrow keys as a wheel and two pedals: keys are on or off, so the wheel turns gradually and lets go by itself.

const TURNED = 0.8 // the farthest that a held key turns the wheel
const TURNING = 0.16 // in a decision, of 80 ms
const LETTING_GO = 0.32
const GAS = 0.5
const BRAKE = 0.3 // 0.9 would lock the wheels

export const ARROWS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']

export class Keyboard {
  constructor() {
    this.held = new Set()
    this.wheel = 0
  }

  /** action: steering, gas and brake that the wheel is taken over from. */
  takeOver([steering]) {
    this.wheel = steering
  }

  /** Steering (right positive), gas and brake of the next decision. */
  action() {
    const side = this.held.has('ArrowRight') - this.held.has('ArrowLeft')
    const most = side ? TURNING : LETTING_GO
    this.wheel += Math.max(-most, Math.min(most, side * TURNED - this.wheel))
    this.wheel = Math.round(1000 * Math.max(-1, Math.min(1, this.wheel))) / 1000
    return [this.wheel, this.held.has('ArrowUp') ? GAS : 0, this.held.has('ArrowDown') ? BRAKE : 0]
  }
}
