// The music API's answers, as text and objects.

import { events } from './shared/events.js'
import { Failure, send } from './shared/server.js'

/** A tune's sound or MIDI file, as a Blob. kind: 'wav' or 'midi'. */
export async function play(kind, abc) {
  return (await send(`tunes/${kind}`, { json: { abc } })).blob()
}

/** What the server reads in a MIDI file: { start, key, metre, assumed }. given: the key and metre that are known. */
export async function fromMidi(file, given) {
  const query = new URLSearchParams(given)
  return (await send(`tunes/from-midi?${query}`, { method: 'POST', headers: { 'Content-Type': 'audio/midi' }, body: file })).json()
}

/** Calls onText(characters) as they are written; resolves to the closing event's object. */
export async function stream(request, onText, signal) {
  const response = await send('stream', { json: request, signal })
  let written = 0
  try {
    for await (const { event, data } of events(response.body)) {
      if (event === 'text') {
        written += data.text.length
        onText(data.text)
      } else if (event === 'done') {
        return data
      } else if (event === 'error') {
        throw new Failure(data.detail ?? 'The server gave up on this tune.')
      }
    }
  } catch (error) {
    if (error instanceof Failure || signal.aborted) throw error
  }
  throw new Failure(
    `The connection broke after ${written} characters, so the rest of this tune is missing. ` +
      'Its seed is kept: write it again to get all of it.'
  )
}
