// Sheet music, drawn by abcjs, and the notes lit up as they sound.

const TAIL_SECONDS = 1 // of ringing after the last note: TAIL_SECONDS of serving/music/audio.py
const STAFF_WIDTHS = { min: 320, max: 740 } // pixels before scaling: a narrow screen gets fewer bars a line, not small notes

export class Score {
  constructor(element) {
    this.element = element
    this.lit = []
    this.timings = []
  }

  get available() {
    return Boolean(globalThis.ABCJS)
  }

  /** Draws what there is of a tune, once it has a key. The title and source are left to the page. */
  draw(abc, title) {
    if (!this.available || !hasMusic(abc)) return
    this.lit = []
    const staffwidth = Math.min(Math.max(this.element.clientWidth - 20, STAFF_WIDTHS.min), STAFF_WIDTHS.max)
    const [tune] = globalThis.ABCJS.renderAbc(this.element, forDrawing(abc), {
      add_classes: true,
      ariaLabel: `Sheet music of ${title || 'the tune'}`,
      paddingbottom: 12, // or the last line's low beams are cut
      paddingleft: 0,
      paddingright: 0,
      paddingtop: 4,
      responsive: 'resize',
      staffwidth,
      wrap: { minSpacing: 1.6, maxSpacing: 2.6, preferredMeasuresPerLine: staffwidth > 560 ? 4 : 2 },
    })
    this.tune = tune
  }

  clear() {
    this.element.replaceChildren()
    this.tune = undefined
  }

  /** Lights the notes that sound while `audio` plays. Both unfold repeats alike, so one scale fits one to the other. */
  follow(audio) {
    cancelAnimationFrame(this.frame)
    const step = () => {
      this.light((audio.currentTime / Math.max(audio.duration - TAIL_SECONDS, 0.1)) * this.total)
      if (!audio.paused && !audio.ended) this.frame = requestAnimationFrame(step)
      else if (audio.ended) this.light(-1)
    }
    if (!this.tune) return
    this.timings = this.tune.setTiming(120, 0) ?? []
    this.total = this.timings.at(-1)?.milliseconds ?? 0
    step()
  }

  light(milliseconds) {
    const event = this.timings.findLast(({ type, milliseconds: start }) => type === 'event' && start <= milliseconds)
    const elements = milliseconds < 0 ? [] : (event?.elements ?? []).flat()
    if (elements[0] === this.lit[0]) return
    for (const element of this.lit) element.classList.remove('playing')
    for (const element of elements) element.classList.add('playing')
    this.lit = elements
  }
}

/** Whether anything follows the key, which ends a tune's header. */
export function hasMusic(abc) {
  return /^K:.*\n./m.test(abc)
}

/** Without the collection's "!" line ends (abcjs would read a decoration), title (the page's heading) and source id. */
function forDrawing(abc) {
  return abc.replace(/!\s*$/gm, '').replace(/^[TZ]:.*\n/gm, '')
}
