// The page: a sheet of a seed's pictures, and the way to the next seed's.

import { fault } from './shared/form.js'
import { showModel } from './shared/model.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
const LARGEST_SEED = 4294967295
const AT_FIRST = { samples: 36, way: 8 } // pictures asked for, where the server makes as many at a time
const ENDS = 2 // a way has both
let most = Infinity // pictures that the server makes at a time

$('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  make()
})
$('another').addEventListener('click', () => {
  $('seed').value = Math.floor(Math.random() * LARGEST_SEED)
  make()
})

async function make() {
  const wrong = fault($('ask'))
  if (wrong) {
    $('problem').textContent = wrong
    $('problem').hidden = false
    return
  }
  const seed = Number($('seed').value)
  const count = Number($('count').value)
  const next = seed < LARGEST_SEED ? seed + 1 : 0
  busy(true)
  try {
    const sheet = await picture(`samples?seed=${seed}&count=${count}`)
    show('samples', sheet, `${count} pictures of seed ${seed}`)
    if (most >= ENDS) {
      const way = await picture(`interpolation?first=${seed}&last=${next}&count=${Math.min(AT_FIRST.way, most)}`)
      show('way', way, `The way from a picture of seed ${seed} to one of seed ${next}`)
    }
    $('said').textContent = `Seed ${seed}`
    $('problem').hidden = true
  } catch (error) {
    $('problem').textContent = error instanceof Failure ? error.message : 'Something on this page broke.'
    $('problem').hidden = false
    if (!(error instanceof Failure)) console.error(error)
  } finally {
    busy(false)
  }
}

/** While pictures are made, no others can be asked for. */
function busy(yes) {
  $('pictures').ariaBusy = yes
  for (const button of $('ask').querySelectorAll('button')) button.disabled = yes
}

async function picture(path) {
  return (await send(path)).blob()
}

function show(id, blob, text) {
  URL.revokeObjectURL($(id).src)
  $(id).src = URL.createObjectURL(blob)
  $(id).alt = text
}

/** What evaluation measured, beside the same figure of real held-out pictures; nothing where it did not. */
function measured({ metrics }) {
  const percent = (share) => `${(100 * share).toFixed(0)} %`
  const figures = [
    ['Precision', 'precision', percent, 'of its pictures lie where real ones do'],
    ['Recall', 'recall', percent, 'of what real ones show it can make'],
    ['Fréchet distance', 'frechet_distance', (distance) => Number(distance.toPrecision(3)), 'from real ones, where 0 is alike'],
  ]
  return figures
    .filter(([, name]) => name in metrics)
    .map(([title, name, write, meaning]) => {
      const real = metrics[`held_out_${name}`]
      const beside = real === undefined ? '' : ` (real held-out pictures: ${write(real)})`
      return [title, `${write(metrics[name])} ${meaning}${beside}`]
    })
}

const model = await showModel((answer) => [
  ['Kind', answer.spec.model === 'vae' ? 'variational autoencoder' : 'GAN'],
  ...measured(answer),
])
if (model) $('count').max = most = model.limits.max_pictures
$('way').parentElement.hidden = most < ENDS
$('count').value = Math.min(AT_FIRST.samples, most)
make()
