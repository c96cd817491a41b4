// Server-sent events, read from an answer's body.

/** Parses server-sent events: fields `event` and `data` (JSON), ended by an empty line. */
export async function* events(body) {
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
