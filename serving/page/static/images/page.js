// The page: a sheet of a seed's pictures, and the way to the next seed's.

import { showModel } from './shared/model.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
const LARGEST_SEED = 4294967295
const ON_THE_WAY = 8
let asked = 0 // an answer to an older request is thrown away

$('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  make()
})
$('another').addEventListener('click', () => {
  $('seed').value = Math.floor(Math.random() * LARGEST_SEED)
  make()
})

async function make() {
  const turn = ++asked
  const seed = Number($('seed').value)
  const count = Number($('count').value)
  const next = seed < LARGEST_SEED ? seed + 1 : 0
  try {
    const sheet = await picture(`samples?seed=${seed}&count=${count}`)
    const way = await picture(`interpolation?first=${seed}&last=${next}&count=${ON_THE_WAY}`)
    if (turn !== asked) return
    show('samples', sheet, `${count} pictures of seed ${seed}`)
    show('way', way, `The way from a picture of seed ${seed} to one of seed ${next}`)
    $('said').textContent = `Seed ${seed}`
    $('problem').hidden = true
  } catch (error) {
    if (turn !== asked) return
    $('problem').textContent = error instanceof Failure ? error.message : 'Something on this page broke.'
    $('problem').hidden = false
    if (!(error instanceof Failure)) console.error(error)
  }
}

async function picture(path) {
  return (await send(path)).blob()
}

function show(id, blob, text) {
  URL.revokeObjectURL($(id).src)
  $(id).src = URL.createObjectURL(blob)
  $(id).alt = text
}

make()
showModel((answer) => [['Kind', answer.spec.model === 'vae' ? 'variational autoencoder' : 'GAN']])
