// The camera: a dialog with a live view where the browser allows one, else the camera application of the phone.

const dialog = document.getElementById('camera')
const view = document.getElementById('view')
const state = document.getElementById('camera-state')
const shoot = document.getElementById('shoot')
const other = document.getElementById('other-camera')
let facing = 'environment'
let shots = 0

/** Call `take([{file, name}])` for every photo. */
export function listen(take) {
  document.getElementById('take-photo').addEventListener('click', open)
  document.getElementById('close-camera').addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', stop)
  other.addEventListener('click', () => {
    facing = facing === 'environment' ? 'user' : 'environment'
    start()
  })
  shoot.addEventListener('click', async () => {
    const canvas = document.createElement('canvas')
    canvas.width = view.videoWidth
    canvas.height = view.videoHeight
    canvas.getContext('2d').drawImage(view, 0, 0)
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.95))
    shots += 1
    state.textContent = shots === 1 ? '1 photo taken' : `${shots} photos taken`
    take([{ file: blob, name: `photo ${shots}` }])
  })
}

function open() {
  // Browsers offer the camera to pages from https and from this machine only.
  if (!navigator.mediaDevices?.getUserMedia) document.getElementById('photo').click()
  else {
    dialog.showModal()
    start()
  }
}

async function start() {
  stop()
  shoot.disabled = true
  state.textContent = 'Starting the camera …'
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1920 } } })
    if (!dialog.open) return stream.getTracks().forEach((track) => track.stop())
    view.srcObject = stream
    await view.play()
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === 'videoinput')
    other.hidden = cameras.length < 2
    shoot.disabled = false
    shoot.focus()
    state.textContent = ''
  } catch (error) {
    state.textContent = error.name === 'NotAllowedError'
      ? 'The browser blocks the camera. Allow it for this page, or choose an image.'
      : 'No camera was found. Choose an image instead.'
  }
}

function stop() {
  view.srcObject?.getTracks().forEach((track) => track.stop())
  view.srcObject = null
}
