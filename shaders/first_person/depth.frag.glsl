#version 300 es
// First pass: depth of what is solid. Triangles across a silhouette are not.
precision highp float;
uniform float torn; // bend from which a triangle is torn
in float bend;
out vec4 color;

void main() {
  if (bend > torn) discard;
  color = vec4(0.0);
}
