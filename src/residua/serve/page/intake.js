// The ways an image comes in: chosen files, a folder, dropped files and folders, the clipboard.

const IMAGE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf]|ppm|pgm|mp4|mov|avi|mkv|webm)$/i

/** Call `take(images)` with `[{file, name}]` whenever images come in; `name` is the path within a folder. */
export function listen(take) {
  const images = document.getElementById('images')
  const folder = document.getElementById('folder')
  const chooseFolder = document.getElementById('choose-folder')
  document.getElementById('choose-images').addEventListener('click', () => images.click())
  chooseFolder.addEventListener('click', () => folder.click())
  chooseFolder.hidden = !('webkitdirectory' in folder) || matchMedia('(hover: none) and (pointer: coarse)').matches
  for (const input of [images, document.getElementById('photo')]) {
    input.addEventListener('change', () => {
      take([...input.files].map((file) => ({ file, name: file.name })))
      input.value = ''
    })
  }
  folder.addEventListener('change', () => {
    take(onlyImages([...folder.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }))))
    folder.value = ''
  })
  document.addEventListener('paste', (event) => {
    const pasted = [...event.clipboardData.files]
    if (pasted.length) take(pasted.map((file) => ({ file, name: file.name || 'pasted image' })))
  })
  listenToDrops(take)
}

function listenToDrops(take) {
  const holdsFiles = (event) => event.dataTransfer?.types.includes('Files')
  let depth = 0 // dragenter and dragleave also come from every element inside
  const mark = (change) => {
    depth = Math.max(0, depth + change)
    document.body.classList.toggle('dropping', depth > 0)
  }
  addEventListener('dragenter', (event) => holdsFiles(event) && mark(+1))
  addEventListener('dragleave', (event) => holdsFiles(event) && mark(-1))
  addEventListener('dragover', (event) => holdsFiles(event) && event.preventDefault())
  addEventListener('drop', async (event) => {
    if (!holdsFiles(event)) return
    event.preventDefault()
    mark(-depth)
    take(await dropped(event.dataTransfer))
  })
}

/** The files of a drop, folders opened. Entries must be taken before the first wait: then the browser empties the list. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }))
  const lists = await Promise.all(entries.map((entry) => (entry.isFile ? [entry] : filesBelow(entry))))
  const images = lists.flatMap((list, place) => (entries[place].isFile ? list : list.filter((one) => IMAGE.test(one.name))))
  return Promise.all(images.map(async (entry) => ({ file: await asFile(entry), name: entry.fullPath.slice(1) })))
}

async function filesBelow(folder) {
  const reader = folder.createReader()
  const files = []
  for (;;) { // a reader returns at most 100 entries at a time, and none at the end
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (!entries.length) return files
    for (const entry of entries) files.push(...(entry.isFile ? [entry] : await filesBelow(entry)))
  }
}

function asFile(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject))
}

function onlyImages(items) {
  const order = new Intl.Collator(undefined, { numeric: true })
  return items.filter(({ file }) => IMAGE.test(file.name)).sort((a, b) => order.compare(a.name, b.name))
}
