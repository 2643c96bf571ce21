#version 300 es
// Second pass: the view's colour, weighted by how well it suits the walker's place, added up.
precision highp float;
uniform sampler2D picture;
uniform float torn;
uniform float age;  // 0 to 1 while the view fades in
uniform vec3 eye;   // the walker
uniform vec3 from;  // the view's camera
in vec2 uv;
in vec3 world;
in float bend;
out vec4 color;

const float SHEET = 0.01; // weight of a torn triangle: seen only where nothing else is

void main() {
  vec3 a = eye - world, b = from - world;
  float near = dot(a, a), own = dot(b, b);
  // Squared sine of the angle between both looks at this point; and how much finer the view saw it.
  float side = max(1.0 - dot(a, b) * dot(a, b) / (near * own), 0.0);
  float fine = clamp(near / own, 0.02, 1.0);
  vec2 edge = min(uv, 1.0 - uv);
  float border = smoothstep(0.0, 0.06, min(edge.x, edge.y));
  float suits = fine * border / (1.0 + 400.0 * side * side + 20.0 * side);
  float weight = (suits * suits + SHEET) * age;
  if (bend > torn) weight = SHEET * SHEET * age + 1e-4;
  color = vec4(texture(picture, uv).rgb * weight, weight);
}
