// The server's answers, as text and objects; its refusals and its absence, as an Error whose message is for people.

export class Failure extends Error {}

/** The model behind the page: GET /info. */
export async function info() {
  return (await send('info')).json()
}

/** A tune's sound or MIDI file, as a Blob. kind: 'wav' or 'midi'. */
export async function play(kind, abc) {
  return (await send(`tunes/${kind}`, { abc })).blob()
}

/** Calls onText(characters) as they are written; resolves to the closing event's object. */
export async function stream(request, onText, signal) {
  const response = await send('stream', request, signal)
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

/** Parses server-sent events: fields `event` and `data` (JSON), ended by an empty line. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let buffer = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    buffer = (buffer + value).replaceAll('\r\n', '\n')
    const whole = buffer.split('\n\n')
    buffer = whole.pop()
    for (const block of whole) {
      const field = (name) =>
        block.split('\n').filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart())
      const data = field('data').join('\n')
      if (data) yield { event: field('event')[0] ?? 'message', data: JSON.parse(data) }
    }
  }
}

async function send(path, body, signal) {
  const options = body && {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  }
  let response
  try {
    response = await fetch(path, { ...options, signal })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Failure('The server does not answer. Is it still running, and are you online?')
  }
  if (!response.ok) throw new Failure(await inWords(response))
  return response
}

/** RFC 9457 problems, and Retry-After, as a sentence or two. */
async function inWords(response) {
  const problem = await response.json().catch(() => ({}))
  const seconds = Number(response.headers.get('Retry-After'))
  const again = seconds ? `Try again in ${seconds} second${seconds === 1 ? '' : 's'}.` : 'Try again in a moment.'
  if (response.status === 429) return `The server is writing as many tunes as it can. ${again}`
  if (response.status === 503) return `The server can't write tunes just now. ${again}`
  const fields = (problem.errors ?? []).map(({ field, reason }) => `${field.replaceAll('_', ' ')}: ${reason}`)
  const reason = fields.join('; ') || problem.detail || response.statusText
  if (response.status < 500) return `The server refused this: ${reason}.`.replace('..', '.')
  return `Something broke in the server (${reason}). It is not your doing; ${again.toLowerCase()}`
}
