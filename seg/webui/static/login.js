'use strict';
const form = document.getElementById('login');
const note = document.getElementById('message');

async function enter(token) {
  const reply = await fetch('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-rapsam': '1' },
    body: JSON.stringify({ token }),
  });
  if (reply.ok) {
    location.replace('/');
  } else {
    note.textContent = (await reply.json()).error;
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  enter(document.getElementById('token').value);
});

// The address that the server prints carries the token behind '#', which browsers do not send.
if (location.hash.length > 1) {
  const token = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, '', '/');
  enter(token);
}
