// A picture on its way to the server: made small where the browser can show it, as it is where it can't.

import { Failure } from './server.js'

const LARGEST_SIDE = 2048 // of a picture that is shown or sent; no model looks at more

/**
 * {image, width, height}: the picture, made small, and the size of the whole; nothing where the browser cannot show it.
 * Browsers turn a picture upright by its EXIF, as the server does.
 */
export async function open(file) {
  try {
    const image = await createImageBitmap(file, { imageOrientation: 'from-image' })
    const { width, height } = image
    const scale = LARGEST_SIDE / Math.max(width, height)
    if (scale >= 1) return { image, width, height }
    const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)))
    const small = await createImageBitmap(image, { resizeWidth, resizeHeight, resizeQuality: 'high' })
    image.close() // a photograph of 48 megapixels takes 192 MB
    return { image: small, width, height }
  } catch {
    return undefined
  }
}

/**
 * What is to be sent: a small JPEG of a picture that is large, or larger than the server takes; else the file itself.
 * limits: of GET /info, or nothing. Throws a Failure for what no server takes.
 */
export async function fitting(file, picture, limits) {
  if (!file.size) throw new Failure('There is nothing in this file.')
  const { body_bytes: bytes = Infinity, max_pixels: pixels = Infinity } = limits ?? {}
  if (!picture) {
    if (file.size > bytes) throw new Failure(`This file has more than the ${bytes.toLocaleString('en')} bytes that the server takes.`)
    return file
  }
  const { image, width, height } = picture
  const reduced = image.width < width || image.height < height
  if (!reduced && file.size <= bytes && image.width * image.height <= pixels) return file
  let scale = Math.min(1, Math.sqrt(pixels / (image.width * image.height)))
  for (;;) {
    const canvas = new OffscreenCanvas(...[image.width, image.height].map((side) => Math.max(1, Math.floor(side * scale))))
    const pen = canvas.getContext('2d')
    pen.fillStyle = 'white' // a JPEG has no transparency, and the server shows it white
    pen.fillRect(0, 0, canvas.width, canvas.height)
    pen.drawImage(image, 0, 0, canvas.width, canvas.height)
    const smaller = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 })
    if (smaller.size <= bytes || scale * image.width < 1) return smaller
    scale /= 2
  }
}
