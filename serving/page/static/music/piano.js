// On-screen keys: one and a half octaves that write notes into the start of a tune, by mouse, touch and keyboard.

const LETTERS = 'CDEFGAB'
const NATURAL = [0, 2, 4, 5, 7, 9, 11] // semitones of LETTERS above C
const SHARPS = 'FCGDAEB' // the order in which a key signature sharpens notes; it flattens them in reverse
const MODES = { Major: 0, Mixolydian: -1, Dorian: -2, Minor: -3 } // sharps more than the major key of the same tonic
const FIRST = 60 // middle C
const KEYS = 18 // up to the F above the next C
const TYPED = 'awsedftgyhujkolp;\'' // the row of a computer's keyboard that lies as the keys do
const BLACK = [1, 3, 6, 8, 10]
const NOTE = /[_=^]?[A-Ga-gz][,']*([0-9]*)(\/?)([0-9]*)/g
const LAST_NOTE = /[_=^]?[A-Ga-gz][,']*[0-9/]*-?[|!\s]*$/

/** The name of a key of the piano in words, such as F sharp 4. */
function spoken(pitch) {
  const step = NATURAL.findLastIndex((semitones) => semitones <= pitch % 12)
  return `${LETTERS[step]}${BLACK.includes(pitch % 12) ? ' sharp' : ''} ${Math.floor(pitch / 12) - 1}`
}

/** Sharps of a key such as D Major, flats negative; 0 for none. */
function sharps(key) {
  const [name, mode] = key.split(' ')
  if (!mode) return 0
  return SHARPS.indexOf(name[0]) - 1 + 7 * ({ '#': 1, b: -1 }[name[1]] ?? 0) + (MODES[mode] ?? 0)
}

/** A pitch in ABC, as it is written in a key in a bar of which this is written already. */
function written(pitch, key, bar) {
  const signature = sharps(key)
  const altered = (letter) => {
    const place = SHARPS.indexOf(letter)
    return signature > place ? 1 : -signature > 6 - place ? -1 : 0
  }
  const spellings = [0, 1, -1].flatMap((accidental) => {
    const step = NATURAL.indexOf((pitch - accidental + 12) % 12)
    return step < 0 ? [] : [{ letter: LETTERS[step], accidental, octave: Math.floor((pitch - accidental) / 12) - 1 }]
  })
  const found =
    spellings.find(({ letter, accidental }) => altered(letter) === accidental) ??
    spellings.find(({ accidental }) => !accidental) ??
    spellings.find(({ accidental }) => accidental === (signature < 0 ? -1 : 1))
  const { letter, accidental, octave } = found
  // An accidental holds until the bar line, so it is written wherever the letter has had one.
  const had = new RegExp(`[_=^]${letter}`, 'i').test(bar)
  const sign = had || altered(letter) !== accidental ? { 0: '=', 1: '^', '-1': '_' }[accidental] : ''
  return sign + (octave > 4 ? letter.toLowerCase() + "'".repeat(octave - 5) : letter + ','.repeat(4 - octave))
}

/** The start with one more note (a rest where pitch is undefined); lengths are in sixteenths, `bar` is that of a bar. */
export function withNote(start, pitch, length, key, bar) {
  const begun = start.slice(start.lastIndexOf('|') + 1).replace(/^[A-Za-z]:.*/gm, '') // without a header
  const left = bar - lasting(begun)
  const name = pitch === undefined ? 'z' : written(pitch, key, begun)
  if (left <= 0) return withNote(`${start}|`, pitch, length, key, bar)
  if (length < left) return start + name + inEighths(length)
  if (length === left) return `${start}${name}${inEighths(length)}|`
  const first = `${start}${name}${inEighths(left)}${pitch === undefined ? '' : '-'}|`
  return withNote(first, pitch, length - left, key, bar)
}

/** The start without its last note, whole where it is tied over a bar line. */
export function withoutNote(start) {
  const shorter = start.replace(LAST_NOTE, '')
  return /-[|!\s]*$/.test(shorter) && shorter !== start ? withoutNote(shorter) : shorter
}

/** How long the notes of a bar last, in sixteenths. */
function lasting(text) {
  const lengths = [...text.matchAll(NOTE)].map(([, number, slash, divisor]) => (2 * (number || 1)) / (slash ? divisor || 2 : 1))
  return lengths.reduce((sum, length) => sum + length, 0)
}

function inEighths(sixteenths) {
  if (sixteenths === 1) return '/'
  if (sixteenths % 2) return `${sixteenths}/2`
  return sixteenths === 2 ? '' : String(sixteenths / 2)
}

/** Draws the keys into an element; onKey(pitch) is called for each that is played. */
export function piano(element, onKey) {
  for (let pitch = FIRST; pitch < FIRST + KEYS; pitch++) {
    const key = document.createElement('button')
    key.type = 'button'
    key.className = BLACK.includes(pitch % 12) ? 'black' : 'white'
    key.ariaLabel = spoken(pitch)
    key.tabIndex = pitch === FIRST ? 0 : -1 // one stop for all of them: arrows go from key to key
    key.addEventListener('click', () => onKey(pitch))
    element.append(key)
  }
  element.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const { children } = element
    const typed = TYPED.indexOf(event.key.toLowerCase())
    const at = [...children].indexOf(document.activeElement)
    const to = at + { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (typed >= 0 && !event.repeat) children[typed]?.click()
    else if (children[to]) children[to].focus()
    else return
    event.preventDefault()
  })
}
