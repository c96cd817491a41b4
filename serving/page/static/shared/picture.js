// A picture on its way to the server: one that the server would refuse for its size is made smaller first.

import { Failure } from './server.js'

const LARGEST_SIDE = 2048 // of a picture that is made smaller

/** The pixels, or nothing where the browser cannot show them. Browsers turn a picture upright by its EXIF, as the server does. */
export async function open(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: 'from-image' })
  } catch {
    return undefined
  }
}

/** The file itself, or a smaller JPEG of it. limits: of GET /info, or nothing. Throws a Failure for what no server takes. */
export async function fitting(file, image, limits) {
  if (!file.size) throw new Failure('There is nothing in this file.')
  if (!limits) return file
  const { body_bytes: bytes, max_pixels: pixels } = limits
  if (file.size <= bytes && !(image?.width * image?.height > pixels)) return file
  if (!image) throw new Failure(`This file has more than the ${bytes.toLocaleString('en')} bytes that the server takes.`)
  const { width, height } = image
  let scale = Math.min(1, LARGEST_SIDE / Math.max(width, height), Math.sqrt(pixels / (width * height)))
  for (;;) {
    const canvas = new OffscreenCanvas(...[width, height].map((side) => Math.max(1, Math.floor(side * scale))))
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height)
    const smaller = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 })
    if (smaller.size <= bytes || scale * width < 1) return smaller
    scale /= 2
  }
}
