// The page: a drawing is read while it grows.

import { item, showModel } from './shared/model.js'
import { fitting, open } from './shared/picture.js'
import { Failure, send } from './shared/server.js'

const PEN = 34 // wide, of the paper's 448 pixels: about MNIST's strokes once scaled
const $ = (id) => document.getElementById(id)
const BOX = '#0b7d5f' // seen on white paper, and on a photograph of it
const paper = $('paper')
const pen = paper.getContext('2d', { willReadFrequently: true })
const boxes = $('boxes').getContext('2d')
const bars = Array.from({ length: 10 }, (_, digit) => bar(digit))
let last // where the pen was, while it is down
let reading = false // a request is on its way, or waits for its turn
let next // makes the picture that is to be read next, if there is one
let age = 0 // of the drawing: an answer to an older one is thrown away

paper.addEventListener('pointerdown', (event) => {
  paper.setPointerCapture(event.pointerId)
  if ($('file').value) clear() // the photograph gives way to a drawing
  last = place(event)
  dot(last)
})
paper.addEventListener('pointermove', (event) => {
  if (!last) return
  for (const step of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) stroke(place(step))
})
for (const name of ['pointerup', 'pointercancel']) paper.addEventListener(name, () => (last = undefined))
$('clear').addEventListener('click', clear)
$('file').addEventListener('click', unchoose)
$('file').addEventListener('change', () => {
  const [file] = $('file').files
  wipe()
  if (file) readNext(() => photograph(file))
})

/** The file, as it is sent, once it is on the paper. */
async function photograph(file) {
  const mine = age
  const picture = await open(file)
  if (picture && mine === age) pen.drawImage(picture.image, ...inside(picture.width, picture.height))
  return fitting(file, picture, (await known)?.limits)
}

/** Where on the paper a picture of this size is: left, top, width, height. */
function inside(width, height) {
  const scale = Math.min(paper.width / width, paper.height / height)
  return [(paper.width - width * scale) / 2, (paper.height - height * scale) / 2, width * scale, height * scale]
}

function place(event) {
  const box = paper.getBoundingClientRect()
  return [((event.clientX - box.left) * paper.width) / box.width, ((event.clientY - box.top) * paper.height) / box.height]
}

/** A touch is a mark, though a line from a place to itself is none. */
function dot([x, y]) {
  pen.fillStyle = 'black'
  pen.beginPath()
  pen.arc(x, y, PEN / 2, 0, 2 * Math.PI)
  pen.fill()
  readNext(drawing)
}

function stroke(to) {
  pen.lineWidth = PEN
  pen.lineCap = pen.lineJoin = 'round'
  pen.beginPath()
  pen.moveTo(...last)
  pen.lineTo(...to)
  pen.stroke()
  last = to
  readNext(drawing)
}

/** The paper as a PNG; nothing where it is all of one colour, in which the server finds no digit. */
function drawing() {
  const pixels = new Uint32Array(pen.getImageData(0, 0, paper.width, paper.height).data.buffer)
  if (pixels.every((pixel) => pixel === pixels[0])) return undefined
  return new Promise((resolve) => paper.toBlob(resolve))
}

/** One request at a time: whatever is drawn meanwhile is read by the next. */
async function readNext(make) {
  next = make
  if (reading) return
  reading = true
  $('bars').ariaBusy = true
  while (next) {
    const picture = next
    next = undefined
    await read(picture)
  }
  reading = false
  $('bars').ariaBusy = false
}

/** What the server has no time for is read again when it says. */
async function read(make) {
  const mine = age
  try {
    const picture = await make()
    if (!picture) return
    const response = await send('read', { method: 'POST', headers: { 'Content-Type': picture.type || 'image/png' }, body: picture })
    const answer = await response.json()
    if (mine === age) show(answer)
  } catch (error) {
    if (mine !== age) return
    fail(error)
    if (!error.retryAfter) return
    await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter))
    if (mine === age) next ??= make
  }
}

/** All digits; the bars are of the first, until another is chosen. */
function show({ digits, width, height }) {
  $('problem').hidden = true
  $('digits').hidden = digits.length === 1
  $('digits').replaceChildren(...digits.map((digit, index) => choice(digit, () => choose(index))))
  choose(0)

  function choose(index) {
    for (const [other, { firstChild }] of [...$('digits').children].entries()) firstChild.ariaPressed = other === index
    if (digits.length > 1) frame(digits, index, width, height)
    else boxes.clearRect(0, 0, paper.width, paper.height)
    showOne(digits[index])
    $('digit').textContent = digits.map(name).join('')
    $('digit').classList.toggle('many', digits.length > 4)
  }
}

function name({ digit, abstain }) {
  return abstain ? '?' : String(digit)
}

function choice(digit, choose) {
  const row = document.createElement('li')
  const button = document.createElement('button')
  button.type = 'button'
  button.append(item('strong', name(digit)), item('small', `${(100 * digit.probability).toFixed(0)} %`))
  button.setAttribute('aria-label', `Digit ${name(digit)}, ${(100 * digit.probability).toFixed(0)} percent`)
  button.addEventListener('click', choose)
  row.append(button)
  return row
}

/** The boxes of several digits, each with what it was read as; thicker the one whose bars are shown. */
function frame(digits, chosen, width, height) {
  const [left, top, across] = inside(width, height)
  const scale = across / width
  boxes.clearRect(0, 0, paper.width, paper.height)
  boxes.strokeStyle = boxes.fillStyle = BOX
  boxes.font = '600 18px system-ui, sans-serif'
  for (const [index, digit] of digits.entries()) {
    const [x, y] = [left + digit.left * scale, top + digit.top * scale]
    boxes.lineWidth = index === chosen ? 4 : 1.5
    boxes.strokeRect(x - 4, y - 4, (digit.right - digit.left) * scale + 8, (digit.bottom - digit.top) * scale + 8)
    boxes.fillText(name(digit), x - 4, y > 26 ? y - 10 : y + (digit.bottom - digit.top) * scale + 24)
  }
}

function showOne({ digit, probabilities, image, abstain }) {
  $('refusal').hidden = !abstain
  for (const [index, { row, progress, share }] of bars.entries()) {
    progress.value = probabilities[index]
    share.textContent = `${(100 * probabilities[index]).toFixed(1)} %`
    row.classList.toggle('best', index === digit && !abstain)
  }
  const pixels = image.flat().flatMap((ink) => [ink, ink, ink, 255])
  $('seen').getContext('2d').putImageData(new ImageData(new Uint8ClampedArray(pixels), 28, 28), 0, 0)
}

function bar(digit) {
  const row = document.createElement('li')
  const progress = document.createElement('progress')
  const share = item('span', '')
  progress.max = 1
  progress.value = 0
  progress.setAttribute('aria-label', `Digit ${digit}`)
  row.append(item('span', String(digit)), progress, share)
  $('bars').append(row)
  return { row, progress, share }
}

/** A browser says nothing when the file is chosen that was chosen before. */
function unchoose() {
  $('file').value = ''
}

function clear() {
  unchoose()
  wipe()
}

function wipe() {
  age++
  next = undefined
  last = undefined
  pen.fillStyle = 'white'
  pen.fillRect(0, 0, paper.width, paper.height)
  $('problem').hidden = true
  forget()
}

/** No answer is shown. */
function forget() {
  $('digit').textContent = '?'
  $('refusal').hidden = $('digits').hidden = true
  $('digits').replaceChildren()
  boxes.clearRect(0, 0, paper.width, paper.height)
  for (const { row, progress, share } of bars) {
    progress.value = 0
    share.textContent = ''
    row.classList.remove('best')
  }
  $('seen').getContext('2d').clearRect(0, 0, 28, 28)
}

function fail(error) {
  forget()
  if (!(error instanceof Failure)) console.error(error)
  $('problem').textContent = error instanceof Failure ? error.message : 'Something broke in this page. Reload it to go on.'
  $('problem').hidden = false
}

function accuracy({ metrics: { accuracy: share } }) {
  return share ? [['Reads', `${(100 * share).toFixed(2)} % of digits it has not seen`]] : []
}

clear()
const known = showModel(accuracy)
