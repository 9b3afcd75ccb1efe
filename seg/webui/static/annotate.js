'use strict';
// The page: asks the server, keeps what it answered, draws it.

const $ = (id) => document.getElementById(id);
const stage = new Stage($('canvas'));
const REACH = 11; // CSS pixels around a click in which it can be grabbed
const state = {
  server: null, session: null, item: null, frame: 0, shown: null, chosen: null,
  tool: 'click', negative: false, pictures: new Map(), playing: null, polling: null, asked: 0,
};
window.rapsam = { state, times: [] }; // for tests and measurements

// Asking the server.

async function ask(address, content, method) {
  const options = { method: method || (content === undefined ? 'GET' : 'POST'), headers: { 'x-rapsam': '1' } };
  if (content instanceof Blob) options.body = content;
  else if (content !== undefined) {
    options.headers['content-type'] = 'application/json';
    options.body = JSON.stringify(content);
  }
  let reply;
  try {
    reply = await fetch(address, options);
  } catch (error) {
    throw new Error('the server does not answer');
  }
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

function tell(text, bad) {
  $('message').textContent = text || '';
  $('message').classList.toggle('bad', Boolean(bad));
}

/** Run something that asks the server; what goes wrong is told. */
async function attempt(action, busy) {
  if (busy) tell(busy);
  try {
    const result = await action();
    if (busy) tell('');
    return result;
  } catch (error) {
    tell(error.message, true);
    return null;
  }
}

// What is shown.

async function refresh() {
  state.server = await ask('/api/state');
  state.session = state.server.session;
  fillHeader();
  showItems();
  if (!state.session || !state.session.items.length) return showNothing();
  const wanted = localStorage.getItem('rapsam-item');
  const known = state.session.items.find((entry) => entry.id === wanted) || state.session.items[0];
  await openItem(known.id, Number(localStorage.getItem('rapsam-frame')) || 0);
  if (state.session.job && state.session.job.running) poll();
}

function showNothing() {
  state.item = null; state.chosen = null;
  stage.image = null; stage.layer = null; stage.draw();
  $('empty').hidden = false; $('film').hidden = true;
  showObjects();
}

function option(value, text) {
  const made = document.createElement('option');
  made.value = value; made.textContent = text;
  return made;
}

function fillHeader() {
  const { server, session } = state;
  $('model').replaceChildren(...server.models.map((name) => option(name, name)));
  if (session) $('model').value = session.model;
  $('everything').hidden = !knowsClasses();
  $('classes').replaceChildren(...(session ? session.classes : []).map((name) => option(name, name)));
  $('format').replaceChildren(...Object.entries(server.formats).map(([name, title]) => option(name, title)));
  $('open').replaceChildren(option('', 'Open…'));
  server.folders.forEach((folder) => {
    const group = document.createElement('optgroup');
    group.label = folder.name;
    for (const file of folder.files) {
      group.append(option(JSON.stringify([folder.name, file.name, false]), file.kind === 'folder' ? `${file.name}/ (images)` : file.name));
      if (file.kind === 'folder') group.append(option(JSON.stringify([folder.name, file.name, true]), `${file.name}/ (a video)`));
    }
    $('open').append(group);
  });
  $('open').hidden = !server.folders.length;
}

async function openItem(id, frame) {
  stopPlaying();
  const item = await ask(`/api/items/${id}`);
  state.pictures.clear();
  state.item = item;
  state.chosen = item.objects.length ? item.objects[0].id : null;
  stage.setSize(item.width, item.height);
  $('empty').hidden = true;
  $('film').hidden = item.frames < 2;
  $('scrub').max = item.frames - 1;
  localStorage.setItem('rapsam-item', id);
  await goTo(Math.min(frame || 0, item.frames - 1));
  showItems();
}

/** A frame's picture, loaded once; a few are kept. */
function picture(frame) {
  const { item, pictures } = state;
  if (!pictures.has(frame)) {
    const image = new Image();
    image.src = `/api/items/${item.id}/image/${frame}?v=${item.stamp}`;
    pictures.set(frame, image.decode().then(() => image));
    if (pictures.size > 24) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(frame);
}

async function goTo(frame) {
  const { item } = state;
  if (!item) return;
  const number = ++state.asked;
  state.frame = Math.min(Math.max(frame, 0), item.frames - 1);
  localStorage.setItem('rapsam-frame', state.frame);
  showPlace();
  await attempt(async () => {
    const loading = picture(state.frame).catch(() => {
      state.pictures.delete(frame);
      throw new Error(`frame ${frame} cannot be read`);
    });
    const [image, shown] = await Promise.all([loading, ask(`/api/items/${item.id}/frame/${state.frame}`)]);
    if (number !== state.asked) return; // asked for another frame meanwhile
    stage.image = image;
    show(item, shown);
  });
}

function show(item, shown) {
  if (item) state.item = item;
  if (shown && shown.frame === state.frame) state.shown = shown;
  const known = state.item.objects.some((one) => one.id === state.chosen);
  if (!known) state.chosen = null;
  paint();
  showObjects();
  showTimeline();
  $('undo').disabled = !state.item.undo || state.item.running;
  $('redo').disabled = !state.item.redo || state.item.running;
  const follows = state.session && state.session.follows;
  $('follow').disabled = $('back').disabled = !follows || state.item.running;
  $('redo-changed').disabled = !follows || !state.item.to_redo || state.item.running;
  $('redo-changed').textContent = state.item.to_redo ? `Redo changed (${state.item.to_redo})` : 'Redo changed';
  $('task').disabled = !follows;
}

function paint() {
  const { item, shown, chosen } = state;
  const masks = item.objects
    .filter((one) => !one.hidden && shown && shown.objects[one.id] && shown.objects[one.id].counts)
    .map((one) => [shown.objects[one.id].counts, one.color]);
  stage.layer = paintMasks(masks, item.width, item.height);
  const one = item.objects.find((entry) => entry.id === chosen);
  const prompts = one && shown && shown.objects[chosen] && shown.objects[chosen].prompts;
  stage.marks = { clicks: prompts ? prompts.clicks : [], box: prompts ? prompts.box : null, color: one ? one.color : [31, 95, 208] };
  $('text').value = prompts && prompts.text ? prompts.text : '';
  stage.draw();
}

function showObjects() {
  const { item, shown, chosen } = state;
  const rows = !item ? [] : item.objects.map((one) => {
    const row = document.createElement('li');
    row.dataset.object = one.id;
    row.setAttribute('aria-current', String(one.id === chosen));
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.backgroundColor = `rgb(${one.color.join(' ')})`;
    const name = document.createElement('span');
    name.className = 'name';
    name.textContent = `${one.id} ${one.label}`;
    const score = document.createElement('span');
    score.className = 'score';
    const found = shown && shown.objects[one.id];
    score.textContent = found && found.score !== null ? found.score.toFixed(2) : '';
    row.append(swatch, name, score,
      button(one.hidden ? '○' : '●', one.hidden ? 'Show (H)' : 'Hide (H)', () => edit({ action: 'hide', object: one.id, hidden: !one.hidden })),
      button(one.accepted ? '✓' : '…', one.accepted ? 'Not done yet (A)' : 'Accept (A)', () => edit({ action: 'accept', object: one.id, accepted: !one.accepted })),
      button('×', 'Delete (Del)', () => edit({ action: 'delete', object: one.id })));
    row.addEventListener('click', () => choose(one.id));
    row.addEventListener('dblclick', () => relabel(one.id));
    return row;
  });
  $('objects').replaceChildren(...rows);
}

function button(text, title, action) {
  const made = document.createElement('button');
  made.textContent = text; made.title = title; made.setAttribute('aria-label', title);
  made.addEventListener('click', (event) => { event.stopPropagation(); action(); });
  return made;
}

function showItems() {
  const entries = state.session ? state.session.items : [];
  $('items').replaceChildren(...entries.map((entry) => {
    const row = document.createElement('li');
    row.dataset.item = entry.id;
    row.setAttribute('aria-current', String(state.item !== null && state.item.id === entry.id));
    const name = document.createElement('span');
    name.className = 'name';
    name.textContent = (entry.video ? '▷ ' : '') + entry.name;
    row.append(name, button('×', 'Take out of the session', () => attempt(async () => {
      await ask(`/api/items/${entry.id}`, undefined, 'DELETE');
      await refresh();
    })));
    row.addEventListener('click', () => attempt(() => openItem(entry.id, 0)));
    return row;
  }));
}

function choose(id) {
  state.chosen = id;
  if (state.item) { paint(); showObjects(); }
}

function relabel(id) {
  const row = document.querySelector(`li[data-object='${id}'] .name`);
  const one = state.item.objects.find((entry) => entry.id === id);
  const input = document.createElement('input');
  input.className = 'name'; input.value = one.label; input.maxLength = 200;
  input.setAttribute('list', 'classes');
  let done = false;
  const finish = (keep) => {
    if (done) return;
    done = true;
    if (keep && input.value.trim() && input.value !== one.label) edit({ action: 'relabel', object: id, label: input.value });
    else showObjects();
  };
  input.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'Enter') finish(true);
    if (event.key === 'Escape') finish(false);
  });
  input.addEventListener('blur', () => finish(true));
  row.replaceWith(input);
  input.focus(); input.select();
}

// Changes.

async function edit(content, started) {
  const { item, frame } = state;
  if (!item) return;
  const before = new Set(item.objects.map((one) => one.id));
  await attempt(async () => {
    const answer = await ask(`/api/items/${item.id}/edit`, { frame, ...content });
    if (state.item.id !== item.id) return;
    tell('');
    const added = answer.item.objects.filter((one) => !before.has(one.id));
    if (added.length && content.action !== 'undo' && content.action !== 'redo') state.chosen = added[added.length - 1].id;
    show(answer.item, answer.frame);
    if (started !== undefined) requestAnimationFrame(() => window.rapsam.times.push(performance.now() - started));
  });
}

function prompted(content, started) {
  const label = state.session.classes.length === 1 ? state.session.classes[0] : 'object';
  return edit({ object: state.chosen || 0, label, ...content }, started);
}

let drag = null;

stage.canvas.addEventListener('pointerdown', (event) => {
  if (!state.item || !stage.image) return;
  stage.canvas.focus();
  const pan = event.button === 1 || event.shiftKey;
  const grabbed = pan ? -1 : stage.clickAt(event, REACH);
  drag = { x: event.clientX, y: event.clientY, from: stage.toPicture(event), grabbed, pan, button: event.button, moved: false };
  stage.canvas.setPointerCapture(event.pointerId);
});

stage.canvas.addEventListener('pointermove', (event) => {
  if (!drag) return;
  drag.moved = drag.moved || Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4;
  if (!drag.moved) return;
  if (drag.pan) {
    stage.shift = [stage.shift[0] + event.movementX, stage.shift[1] + event.movementY];
  } else if (drag.grabbed >= 0) {
    const [x, y] = stage.clamp(stage.toPicture(event));
    stage.marks.clicks[drag.grabbed] = [x, y, stage.marks.clicks[drag.grabbed][2]];
  } else if (state.tool === 'box' && drag.button === 0) {
    stage.draft = boxOf(drag.from, stage.toPicture(event));
  }
  stage.draw();
});

stage.canvas.addEventListener('pointerup', (event) => {
  if (!drag) return;
  const started = performance.now(), ended = drag, place = stage.toPicture(event);
  drag = null;
  stage.draft = null;
  if (ended.pan) return;
  const [x, y] = place;
  if (ended.grabbed >= 0) {
    if (ended.moved) {
      const [nx, ny] = stage.clamp(place);
      const inside = [Math.min(nx, stage.size[0] - 0.01), Math.min(ny, stage.size[1] - 0.01)];
      edit({ action: 'move_click', object: state.chosen, index: ended.grabbed, x: inside[0], y: inside[1] }, started);
    } else if (ended.button === 2) {
      edit({ action: 'remove_click', object: state.chosen, index: ended.grabbed }, started);
    }
  } else if (state.tool === 'box' && ended.button === 0) {
    const box = boxOf(ended.from, place);
    if (!ended.moved || box[2] - box[0] < 1 || box[3] - box[1] < 1) stage.draw();
    else if (state.session.finds && !state.chosen) edit({ action: 'find', box }, started);
    else prompted({ action: 'box', box }, started);
  } else if (stage.isInside(place) && !ended.moved && ended.button !== 1) {
    prompted({ action: 'click', x, y, positive: ended.button !== 2 && !state.negative }, started);
  }
});

stage.canvas.addEventListener('pointercancel', () => { drag = null; stage.draft = null; stage.draw(); });
stage.canvas.addEventListener('contextmenu', (event) => event.preventDefault());
stage.canvas.addEventListener('wheel', (event) => {
  event.preventDefault();
  if (stage.image) stage.zoomAt(event, event.deltaY < 0 ? 1.2 : 1 / 1.2);
}, { passive: false });

function boxOf(first, second) {
  const [ax, ay] = stage.clamp(first), [bx, by] = stage.clamp(second);
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

function setTool(tool) {
  state.tool = tool;
  $('tool-click').setAttribute('aria-pressed', String(tool === 'click'));
  $('tool-box').setAttribute('aria-pressed', String(tool === 'box'));
}

function setNegative(negative) {
  state.negative = negative;
  $('negative').setAttribute('aria-pressed', String(negative));
}

// Time.

function showPlace() {
  $('scrub').value = state.frame;
  $('place').textContent = `${state.frame} / ${state.item.frames - 1}`;
  showTimeline();
}

function showTimeline() {
  const { item, frame } = state;
  const canvas = $('timeline');
  if (!item || item.frames < 2) return;
  const style = getComputedStyle(document.documentElement);
  canvas.width = canvas.clientWidth * (window.devicePixelRatio || 1) || 600;
  const context = canvas.getContext('2d');
  const step = canvas.width / item.frames, wide = Math.max(step, 3);
  const mark = (name, first, last, top, tall) => {
    context.fillStyle = style.getPropertyValue(name);
    context.fillRect(first * step, top, Math.max((last - first + 1) * step, wide), tall);
  };
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const [first, last] of item.followed) mark('--followed', first, last, 4, 6);
  for (const one of item.prompted) mark('--prompted', one, one, 1, 12);
  for (const one of item.corrected) mark('--corrected', one, one, 1, 12);
  context.strokeStyle = style.getPropertyValue('--text');
  context.lineWidth = 2;
  context.strokeRect(frame * step + 1, 1, Math.max(step - 2, 2), canvas.height - 2);
}

function play() {
  if (state.playing) return stopPlaying();
  const { item } = state;
  if (!item || item.frames < 2) return;
  $('play').textContent = 'Pause';
  const wait = Math.max(1000 / item.fps, 40);
  const next = async () => {
    const started = performance.now();
    if (!state.playing || state.item !== item && state.item.id !== item.id) return;
    await goTo(state.frame + 1 < item.frames ? state.frame + 1 : 0);
    for (let ahead = 1; ahead <= 6; ahead++) if (state.frame + ahead < item.frames) picture(state.frame + ahead).catch(() => {});
    if (state.playing) state.playing = setTimeout(next, Math.max(wait - (performance.now() - started), 0));
  };
  state.playing = setTimeout(next, wait);
}

function stopPlaying() {
  clearTimeout(state.playing);
  state.playing = null;
  $('play').textContent = 'Play';
}

// Following.

async function follow(content) {
  const { item, frame } = state;
  if (!item) return;
  await attempt(async () => {
    await ask(`/api/items/${item.id}/follow`, { frame, task: $('task').value, ...content });
    tell('');
    poll();
  });
}

function poll() {
  clearTimeout(state.polling);
  const look = async () => {
    const job = await attempt(() => ask('/api/job'));
    showJob(job);
    const here = job && state.item && job.item === state.item.id;
    if (here) {
      const [item, shown] = await Promise.all([ask(`/api/items/${job.item}`), ask(`/api/items/${job.item}/frame/${state.frame}`)]);
      show(item, shown);
    }
    if (job && job.running) state.polling = setTimeout(look, 300);
  };
  state.polling = setTimeout(look, 100);
}

function showJob(job) {
  const running = Boolean(job && job.running);
  $('stop').disabled = !running;
  $('progress').hidden = !running;
  if (!job) return;
  $('progress').max = job.total; $('progress').value = job.done;
  $('job').textContent = running ? `${job.done} of ${job.total}` : '';
  if (job.error) tell(job.error, true);
}

// Files.

async function take(address, content, busy) {
  await attempt(async () => {
    const item = await ask(address, content);
    state.server = await ask('/api/state');
    state.session = state.server.session;
    fillHeader();
    await openItem(item.id, 0);
  }, busy);
}

async function exportFiles() {
  await attempt(async () => {
    const reply = await fetch(`/api/export?format=${$('format').value}`);
    if (!reply.ok) throw new Error((await reply.json()).error);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await reply.blob());
    link.download = `rapsam_${$('format').value}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }, 'writing files …');
}

async function importFiles(file) {
  await attempt(async () => {
    const { added } = await ask(`/api/import?format=${$('format').value}`, file);
    await openItem(Object.keys(added)[0], 0);
    tell(`${Object.values(added).reduce((a, b) => a + b, 0)} objects added`);
  }, 'reading files …');
}

// Buttons, keys, colours.

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $('theme').textContent = theme === 'dark' ? 'Light' : 'Dark';
  showTimeline();
}

function toggleTheme() {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem('rapsam-theme', theme);
  setTheme(theme);
}

function toggleHelp() {
  $('help').hidden = !$('help').hidden;
  $('help-button').setAttribute('aria-expanded', String(!$('help').hidden));
}

function sayWords() {
  const text = $('text').value.trim();
  if (!text) return;
  if (state.session && state.session.finds) edit({ action: 'find', text });
  else prompted({ action: 'text', text });
  $('text').blur();
}

const startNew = () => choose(null);
const knowsClasses = () => Boolean(state.session && state.session.names_everything);
const findEverything = () => { if (knowsClasses()) edit({ action: 'everything' }); };
const stopFollowing = () => attempt(async () => { showJob(await ask('/api/job/stop', {})); poll(); });
const chosenObject = () => state.item && state.item.objects.find((one) => one.id === state.chosen);

$('model').addEventListener('change', () => attempt(async () => {
  await ask('/api/model', { name: $('model').value });
  await refresh();
}, 'loading the model …'));
$('upload').addEventListener('click', () => $('file').click());
$('file').addEventListener('change', () => {
  const file = $('file').files[0];
  if (file) take(`/api/upload?name=${encodeURIComponent(file.name)}`, file, 'uploading …');
  $('file').value = '';
});
$('open').addEventListener('change', () => {
  if (!$('open').value) return;
  const [folder, name, asVideo] = JSON.parse($('open').value);
  $('open').value = '';
  take('/api/open', { folder, name, as_video: asVideo }, 'opening …');
});
$('undo').addEventListener('click', () => edit({ action: 'undo' }));
$('redo').addEventListener('click', () => edit({ action: 'redo' }));
$('export').addEventListener('click', exportFiles);
$('import').addEventListener('click', () => $('import-file').click());
$('import-file').addEventListener('change', () => {
  const file = $('import-file').files[0];
  if (file) importFiles(file);
  $('import-file').value = '';
});
$('theme').addEventListener('click', toggleTheme);
$('help-button').addEventListener('click', toggleHelp);
$('tool-click').addEventListener('click', () => setTool('click'));
$('tool-box').addEventListener('click', () => setTool('box'));
$('negative').addEventListener('click', () => setNegative(!state.negative));
$('words').addEventListener('submit', (event) => { event.preventDefault(); sayWords(); });
$('new').addEventListener('click', startNew);
$('everything').addEventListener('click', findEverything);
$('play').addEventListener('click', play);
$('follow').addEventListener('click', () => follow({}));
$('back').addEventListener('click', () => follow({ backward: true }));
$('redo-changed').addEventListener('click', () => follow({ changed: true }));
$('stop').addEventListener('click', stopFollowing);
$('scrub').addEventListener('input', () => { stopPlaying(); goTo(Number($('scrub').value)); });
$('timeline').addEventListener('pointerdown', (event) => {
  const share = event.offsetX / $('timeline').clientWidth;
  stopPlaying();
  goTo(Math.floor(share * state.item.frames));
});
window.addEventListener('resize', showTimeline);

const KEYS = {
  c: () => setTool('click'),
  b: () => setTool('box'),
  x: () => setNegative(!state.negative),
  t: () => $('text').focus(),
  e: findEverything,
  n: startNew,
  escape: startNew,
  a: () => { const one = chosenObject(); if (one) edit({ action: 'accept', object: one.id, accepted: !one.accepted }); },
  h: () => { const one = chosenObject(); if (one) edit({ action: 'hide', object: one.id, hidden: !one.hidden }); },
  l: () => { const one = chosenObject(); if (one) relabel(one.id); },
  delete: () => { const one = chosenObject(); if (one) edit({ action: 'delete', object: one.id }); },
  backspace: () => { const one = chosenObject(); if (one) edit({ action: 'clear', object: one.id }); },
  0: () => { const one = chosenObject(); if (one) edit({ action: 'absent', object: one.id }); },
  z: (event) => edit({ action: event.shiftKey ? 'redo' : 'undo' }),
  arrowleft: (event) => { stopPlaying(); goTo(state.frame - (event.shiftKey ? 10 : 1)); },
  arrowright: (event) => { stopPlaying(); goTo(state.frame + (event.shiftKey ? 10 : 1)); },
  ' ': play,
  f: () => follow({}),
  g: () => follow({ backward: true }),
  r: () => follow({ changed: true }),
  s: stopFollowing,
  d: toggleTheme,
  '?': toggleHelp,
};

document.addEventListener('keydown', (event) => {
  const typing = event.target.matches('input:not([type=range]), select');
  if (typing) { if (event.key === 'Escape') event.target.blur(); return; }
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key !== 'z') return;
  if (event.target.matches('button') && (key === ' ' || key === 'enter')) return;
  if (/^[1-9]$/.test(key) && state.item) {
    const one = state.item.objects[Number(key) - 1];
    if (one) choose(one.id);
  } else if (KEYS[key]) {
    event.preventDefault();
    KEYS[key](event);
  }
});

setTheme(localStorage.getItem('rapsam-theme') || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
attempt(refresh);
