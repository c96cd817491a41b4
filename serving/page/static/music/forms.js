// The forms of tunes that the model knows, as its bundle has them: "r:1 02:03:" is two parts of eight bars, played twice.

const BARS_OF_A_DIGIT = 4

/** Whether tunes of a metre and type have such parts. Of what is asked, '' is anything. */
export function known(forms, { metre, type, ...asked }) {
  const named = (all, name) => Object.entries(all).filter(([each]) => !name || each === name)
  return named(forms, metre).some(([, types]) =>
    named(types, type).some(([, lines]) => Object.keys(lines).some((line) => is(line, asked)))
  )
}

function is(line, { parts, bars, repeats }) {
  const found = [...line.matchAll(/([0-9]+)([:|[])/g)]
  return (
    (!parts || found.length === Number(parts)) &&
    (!bars || found.every(([, phrases]) => BARS_OF_A_DIGIT * phrases.length === Number(bars))) &&
    (!repeats || found.every(([, , end]) => String(end !== '|') === repeats))
  )
}
