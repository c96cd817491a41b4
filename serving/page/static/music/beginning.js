// How a visitor begins a tune: a MIDI file that the server reads, or keys on the screen. Both fill the start.

import { fromMidi } from './api.js'
import { piano, withNote, withoutNote } from './piano.js'
import { item } from './shared/model.js'
import { Failure } from './shared/server.js'

const SIXTEENTHS = { C: 16, 'C|': 16, '2/4': 8, '3/4': 12, '6/8': 12, '9/8': 18 } // of a bar
const $ = (id) => document.getElementById(id)

/** page: { form, offer, attempt, say, limits } of the page. */
export function beginning({ form, offer, attempt, say, limits }) {
  const { start, key, metre, type } = form.elements
  const chosen = {} // key and metre that the visitor chose, and no file
  let file // the one that the start comes from

  for (const field of [key, metre]) {
    field.addEventListener('change', () => {
      if (field.value) chosen[field.name] = field.value
      else delete chosen[field.name]
      if (file) read(file)
    })
  }
  $('file').addEventListener('change', () => read($('file').files[0]))
  for (const name of ['dragover', 'drop', 'dragleave']) $('drop').addEventListener(name, drag)
  start.addEventListener('input', forget)
  form.addEventListener('reset', forget)
  piano($('piano'), play)
  $('rest').addEventListener('click', () => play(undefined))
  $('back').addEventListener('click', () => {
    forget()
    start.value = withoutNote(start.value)
  })

  function drag(event) {
    event.preventDefault()
    $('drop').classList.toggle('over', event.type === 'dragover')
    if (event.type === 'drop') read(event.dataTransfer.files[0])
  }

  async function read(given) {
    if (!given) return
    forget()
    file = given
    await attempt(async () => {
      const most = (await limits())?.body_bytes ?? Infinity
      if (!given.size) throw new Failure('There is nothing in this file.')
      if (given.size > most) throw new Failure(`This file has more than the ${most.toLocaleString('en')} bytes that the server takes.`)
      say('Reading the file…')
      const found = await fromMidi(given, chosen)
      if (file !== given) return // another has been dropped meanwhile
      start.value = found.start
      choose(key, found.key)
      choose(metre, found.metre)
      const lines = [`${found.notes} notes in ${found.key}, ${found.metre}.`, ...found.assumed]
      $('assumed').replaceChildren(...lines.map((text) => item('li', text)))
      $('assumed').hidden = false
      say('The tune begins as the file does: write it.')
    })
    $('file').value = '' // the same file can be chosen again
  }

  function play(pitch) {
    forget()
    const missing = [key, metre].filter((field) => !field.value)
    if (!key.value) choose(key, 'C Major')
    if (!metre.value) choose(metre, [...metre.options].find((option) => option.value && !option.disabled).value)
    if (missing.length) say(`${missing.map((field) => field.selectedOptions[0].text).join(' and ')}: choose another above.`)
    start.value = withNote(start.value, pitch, Number($('length').value), key.value, SIXTEENTHS[metre.value])
  }

  /** The start is the visitor's own from now on. */
  function forget() {
    file = undefined
    $('assumed').hidden = true
  }

  /** Chooses what may not be among the options yet; a kind that does not go with it is let go. */
  function choose(field, value) {
    if (![...field.options].some((option) => option.value === value)) field.add(new Option(value))
    field.value = value
    offer()
    if (type.selectedOptions[0].disabled) type.value = ''
  }
}
